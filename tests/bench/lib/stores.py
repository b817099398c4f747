"""Two S3 stores as processes of this machine, a source and a target, each with its own port and credentials."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import tools
from .measure import cpu_of

KEYS = {"SRC": ("SOURCEACCESSKEY0000", "source-secret-for-benchmarks-only"),
        "DST": ("TARGETACCESSKEY0000", "target-secret-for-benchmarks-only")}


def free_ports(count):
    """Ports that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def scratch():
    """A folder in memory where there is one: a disk is not what is measured."""
    memory = Path("/dev/shm")
    return tempfile.mkdtemp(prefix="oms-bench-", dir=memory if os.access(memory, os.W_OK) else None)


class Stores:
    """Both stores. Use with `with`: at the end both processes are ended and their data is removed."""

    def __init__(self, options=()):
        self.options = options
        self.folder = scratch()
        self.children = {}
        self.urls = {}
        self.number = 0

    def __enter__(self):
        try:
            for side in KEYS:
                self.start(side)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for child in self.children.values():
            child.terminate()
        for child in self.children.values():
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self):
        """The variables that name both stores."""
        found = {}
        for side, (access, secret) in KEYS.items():
            found |= {f"{side}_URL": self.urls[side], f"{side}_AK": access, f"{side}_SK": secret}
        return found

    def cpu(self):
        """CPU seconds that both have used."""
        return sum(cpu_of(child.pid) for child in self.children.values())

    def tool(self, *arguments):
        """Runs the bench tool on them."""
        command = [tools.bench_tool(), *map(str, arguments)]
        environment = os.environ | self.environment()
        return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)

    def new_target(self):
        """A new bucket at the target."""
        self.number += 1
        bucket = f"target-{self.number}"
        self.tool("make", "DST", bucket)
        return bucket


class Memory(Stores):
    """The store of tests/bench/tool, which keeps objects in memory."""

    name = "in memory"

    def start(self, side):
        command = [tools.bench_tool(), "serve", "127.0.0.1:0", KEYS[side][0], *self.options]
        # Memory that was freed is used again: fresh pages are slow on a small virtual machine.
        environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_MMAP_MAX_": "0"}
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.children[side] = child
        self.urls[side] = child.stdout.readline().strip()

    def steer(self, side, path):
        host = self.urls[side].removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=600)
        connection.request("POST", f"/-/{path}")
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"the store refuses {path}: {answer.status}")
        answer.read()
        connection.close()

    def late(self, milliseconds):
        """Makes every answer of both late."""
        for side in KEYS:
            self.steer(side, f"late?milliseconds={milliseconds}")

    def fill(self, side, bucket, count, size):
        """Puts objects into a bucket."""
        self.steer(side, f"fill?bucket={bucket}&count={count}&size={size}")


class Weed(Stores):
    """SeaweedFS, a real store."""

    name = "SeaweedFS"

    def start(self, side):
        folder = Path(self.folder, side)
        folder.mkdir()
        access, secret = KEYS[side]
        identity = {"name": "admin", "credentials": [{"accessKey": access, "secretKey": secret}],
                    "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        s3, *others = free_ports(8)
        names = ("s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port",
                 "filer.port.grpc")
        command = [tools.program("weed"), "-logtostderr=true", "-v=-1", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                   "-filer", "-s3", f"-dir={folder}", f"-s3.config={folder}/s3.json", f"-s3.port={s3}",
                   "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-master.volumeSizeLimitMB=512",
                   "-volume.max=200", "-master.volumePreallocate=false", "-volume.preStopSeconds=0"]
        command += [f"-{name}={port}" for name, port in zip(names, others)]
        with open(folder / "log", "wb") as log:
            child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.children[side] = child
        self.urls[side] = f"http://127.0.0.1:{s3}"
        until = time.monotonic() + 60
        while not self.answers(s3):
            if child.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"SeaweedFS does not start: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    @staticmethod
    def answers(port):
        """Unsigned requests are refused once it is ready."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/")
            return connection.getresponse().status == 403
        except OSError:
            return False

    def late(self, milliseconds):
        if milliseconds:
            raise ValueError("SeaweedFS cannot be late")

    def fill(self, side, bucket, count, size):
        """Puts objects into a bucket."""
        self.tool("fill", side, bucket, count, size, 32)
