"""The copiers: how each copies a bucket, and what it needs for that."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from . import tools
from .measure import Used, Watch
from .service import SUCCEEDED, Service

LARGE = 64 << 20
# What each is, for the table.
NOTES = {
    "floor": "a bare loop that streams each read into a write: no ledger, no verification, no retry, no look at the target. "
             "With nothing to do: both listings side by side. Large objects in parts of 16 MiB, 4 at a time.",
    "oms": "`oms serve` with a fresh ledger, from the start of the process to its end: one task of 50 threads, no tuning.",
    "rclone": "`rclone copy` with what saves it requests.",
    "juicefs": "`juicefs sync`, which keeps neither content type nor metadata.",
    "s5cmd": "two processes through a folder in memory, because it knows one endpoint at a time; it keeps neither content type "
             "nor metadata.",
}


class Copiers:
    """Runs copiers between two stores."""

    def __init__(self, oms, stores):
        self.program, self.stores = oms, stores
        self.stage = Path(stores.folder, "stage")
        home = Path(stores.folder, "home")
        home.mkdir(exist_ok=True)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "AWS_REGION": "us-east-1",
                            "AWS_EC2_METADATA_DISABLED": "true", "RCLONE_CONFIG": "/dev/null", **stores.environment()}
        for side in ("SRC", "DST"):
            values = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": self.store(side, "URL"), "FORCE_PATH_STYLE": "true",
                      "ACCESS_KEY_ID": self.store(side, "AK"), "SECRET_ACCESS_KEY": self.store(side, "SK"),
                      "REGION": "us-east-1"}
            self.environment |= {f"RCLONE_CONFIG_{side}_{name}": value for name, value in values.items()}

    def store(self, side, what):
        return self.stores.environment()[f"{side}_{what}"]

    def run(self, name, source, target, in_flight, size):
        """Copies a bucket and returns what the copier used."""
        return getattr(self, name)(source, target, str(in_flight), size)

    def process(self, command, **more):
        watch = Watch(command, env=self.environment | more, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL)
        try:
            return watch.wait()
        finally:
            watch.end()

    def floor(self, source, target, in_flight, _size):
        if in_flight == "0":
            return self.process([tools.bench_tool(), "compare", source, target])
        return self.process([tools.bench_tool(), "copy", source, target, in_flight])

    def oms_task(self, source, target):
        """One task in one process: what the process used, and the task at its end."""
        with Service(self.program, self.stores) as service:
            shown = service.wait(service.create(source, target))
            used = service.stop()
        if shown["status"] != SUCCEEDED:
            tools.say(f"the task did not succeed: {json.dumps(shown)}")
            used.code = used.code or 1
        return used, shown

    def oms(self, source, target, _in_flight, _size):
        return self.oms_task(source, target)[0]

    def rclone(self, source, target, in_flight, size):
        in_flight = "64" if in_flight == "0" else in_flight
        command = [tools.program("rclone"), "copy", f"SRC:{source}", f"DST:{target}", "--quiet", "--s3-no-check-bucket",
                   "--fast-list", "--checksum", "--metadata", "--use-server-modtime", "--s3-disable-checksum",
                   "--transfers", in_flight, "--checkers", in_flight]
        if size >= LARGE:
            command += ["--multi-thread-streams", "4", "--multi-thread-cutoff", "64M", "--multi-thread-chunk-size", "16M",
                        "--s3-chunk-size", "16M", "--s3-upload-cutoff", "64M", "--s3-upload-concurrency", "4"]
        else:
            # Without its questions after each write. With parts it would take sizes for 0.
            command += ["--s3-no-head", "--s3-no-head-object", "--buffer-size", "0"]
        return self.process(command)

    def juicefs(self, source, target, in_flight, _size):
        in_flight = "64" if in_flight == "0" else in_flight
        place = {side: f"minio://{self.store(side, 'AK')}:{self.store(side, 'SK')}@"
                       f"{self.store(side, 'URL').removeprefix('http://')}" for side in ("SRC", "DST")}
        return self.process([tools.program("juicefs"), "--no-agent", "sync", "--no-https", "--threads", in_flight,
                             "--list-threads", "4", "--list-depth", "1", f"{place['SRC']}/{source}/",
                             f"{place['DST']}/{target}/"])

    def s5cmd(self, source, target, in_flight, _size):
        self.stage.mkdir()
        used = Used()
        try:
            for side, arguments in (("SRC", [f"s3://{source}/*", f"{self.stage}/"]),
                                    ("DST", [f"{self.stage}/", f"s3://{target}/"])):
                command = [tools.program("s5cmd"), "--endpoint-url", self.store(side, "URL"), "--numworkers", in_flight,
                           "--log", "error", "cp", *arguments]
                used = used.then(self.process(command, AWS_ACCESS_KEY_ID=self.store(side, "AK"),
                                              AWS_SECRET_ACCESS_KEY=self.store(side, "SK")))
        finally:
            shutil.rmtree(self.stage)
        return used
