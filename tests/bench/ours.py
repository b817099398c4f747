#!/usr/bin/env python3
"""ours.py OMS SET THREADS : copies one bucket with `oms serve`, as one command, for a benchmark beside other copiers.

Starts the service on a fresh ledger, creates a task over HTTP, waits for its end, stops the service. The service is a child of
this process, so that its CPU time and memory count. The stores come from SRC_URL, SRC_AK, SRC_SK, DST_URL, DST_AK, DST_SK.
Prints the task; ends with 0 only if it succeeded.
"""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOKEN = "benchmark-token-0123456789"


def call(address, method, path, body=None):
    connection = http.client.HTTPConnection(address, timeout=30)
    headers = {"X-Auth-Token": TOKEN, "Content-Type": "application/json"}
    connection.request(method, "/v1/bench/objectstorage" + path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        sys.exit(f"{method} {path}: {answer.status} {text.decode()}")
    return json.loads(text) if text else None


def node(side, bucket):
    e = os.environ
    return {
        "cloud_type": "AWS" if side == "SRC" else "HuaweiCloud", "region": "us-east-1", "endpoint": e[side + "_URL"],
        "bucket": bucket, "object_key": "", "ak": e[side + "_AK"], "sk": e[side + "_SK"],
    }


def main():
    oms, bucket, threads = sys.argv[1], sys.argv[2], min(int(sys.argv[3]), 50)
    folder = tempfile.mkdtemp(prefix="oms-bench-")
    environment = {**os.environ, "OMS_TOKEN": TOKEN}
    command = [oms, "serve", "--listen", "127.0.0.1:0", "--data-dir", folder, "--allow-network", "127.0.0.0/8"]
    service = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        address = service.stdout.readline().strip().rsplit("//", 1)[1]
        body = {
            "task_type": "object", "src_node": node("SRC", bucket), "dst_node": node("DST", bucket),
            "thread_num": threads, "enableKMS": False,
        }
        task = call(address, "POST", "/task", body)["id"]
        while True:
            shown = call(address, "GET", f"/task/{task}")
            if shown["status"] >= 4:
                break
            time.sleep(0.05)
        print(json.dumps(shown))
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait()
        shutil.rmtree(folder)
    sys.exit(0 if shown["status"] == 5 else 1)


main()
