"""Runs a process and measures it: wall time, CPU time, peak memory."""

import os
import subprocess
import threading
import time
from dataclasses import dataclass


@dataclass
class Used:
    """What processes used."""

    wall: float = 0.0
    cpu: float = 0.0
    rss: float = 0.0
    code: int = 0

    def then(self, other):
        """Both, one after the other."""
        return Used(self.wall + other.wall, self.cpu + other.cpu, max(self.rss, other.rss), self.code or other.code)


def peak_memory(pid):
    """Peak resident memory of a running process, in MiB."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def cpu_of(pid):
    """Seconds of CPU time that a running process has used."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Watch:
    """Measures one child process until it ends.

    The kernel's own peak (ru_maxrss) begins with the memory of the process that started the child, so the peak is also read
    from /proc while the child runs.
    """

    def __init__(self, command, **options):
        self.began = time.monotonic()
        self.child = subprocess.Popen(command, **options)
        self.pid = self.child.pid
        self.peak = 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self):
        while not self.ended.wait(0.05):
            self.peak = max(self.peak, peak_memory(self.pid))

    def look(self):
        """Reads the peak now, as before an end that is near."""
        self.peak = max(self.peak, peak_memory(self.pid))

    def wait(self):
        """Waits for the end."""
        _, status, usage = os.wait4(self.pid, 0)
        wall = time.monotonic() - self.began
        self.ended.set()
        self.thread.join()
        # Popen must not wait for a process that is gone.
        self.child.returncode = os.waitstatus_to_exitcode(status)
        kernel = usage.ru_maxrss / 1024
        rss = self.peak if self.peak else kernel
        return Used(wall, usage.ru_utime + usage.ru_stime, rss, self.child.returncode)

    def end(self):
        """Ends the process, however it is. For cleaning up."""
        if self.child.returncode is None:
            self.child.kill()
            self.wait()
