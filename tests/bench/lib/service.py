"""`oms serve` as a child process with a fresh ledger, and calls of its API."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import time

from .measure import Watch
from .stores import scratch

TOKEN = "benchmark-token-0123456789"
PATH = "/v1/bench/objectstorage"
RUNNING, SUCCEEDED = 2, 5
# The most that the API accepts. The service finds the number of small objects in flight itself.
THREADS = 50


class Service:
    """Use with `with`: at the end the process is ended and its ledger is removed."""

    def __init__(self, oms, stores):
        self.stores = stores
        self.folder = scratch()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMS_", "RUST_LOG"))}
        environment["OMS_TOKEN"] = TOKEN
        command = [oms, "serve", "--listen", "127.0.0.1:0", "--data-dir", self.folder, "--allow-network", "127.0.0.0/8"]
        self.watch = Watch(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True)
        first = self.watch.child.stdout.readline().strip()
        if "//" not in first:
            self.__exit__()
            raise RuntimeError(f"oms does not listen: {first!r}")
        self.host = first.rsplit("//", 1)[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.watch.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, path, body=None):
        headers = {"X-Auth-Token": TOKEN, "Content-Type": "application/json"}
        # The service closes a connection that is idle, so each call has its own.
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.request(method, PATH + path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {text}")
        return json.loads(text) if text else None

    def node(self, side, bucket):
        stores = self.stores.environment()
        return {"cloud_type": "AWS" if side == "SRC" else "HuaweiCloud", "region": "us-east-1", "bucket": bucket,
                "endpoint": stores[f"{side}_URL"], "object_key": "", "ak": stores[f"{side}_AK"],
                "sk": stores[f"{side}_SK"]}

    def create(self, source, target, threads=THREADS):
        """Creates a task, which starts at once, and returns its number."""
        body = {"task_type": "object", "src_node": self.node("SRC", source), "dst_node": self.node("DST", target),
                "thread_num": threads, "enableKMS": False}
        return self.call("POST", "/task", body)["id"]

    def show(self, task):
        return self.call("GET", f"/task/{task}")

    def wait(self, task, every=0.05):
        """Waits until the task has ended and returns it."""
        while True:
            shown = self.show(task)
            if shown["status"] > RUNNING:
                return shown
            time.sleep(every)

    def stop(self):
        """Stops the service and returns what it used."""
        self.watch.look()
        self.watch.child.send_signal(signal.SIGTERM)
        return self.watch.wait()
