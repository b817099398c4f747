"""Builds and installs what a benchmark needs, and says what machine it runs on."""

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent.parent
PLACE = Path(os.environ.get("OMS_BENCH_TOOLS", ROOT / "target" / "bench"))
RESULTS = BENCH / "results"


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def program(name):
    """A program of the virtual environment."""
    return str(PLACE / "python" / "bin" / name)


def bench_tool():
    """The store in memory, the floor and the load: tests/bench/tool."""
    return str(PLACE / "build" / "release" / "oms-bench")


def build(oms):
    """Builds in release mode what is not given, and returns the path of `oms`."""
    say("building tests/bench/tool")
    manifest = BENCH / "tool" / "Cargo.toml"
    command = ["cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", manifest]
    subprocess.run([*command, "--target-dir", PLACE / "build"], check=True)
    if oms:
        return str(Path(oms).resolve())
    say("building oms, which takes some minutes the first time")
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "--bin", "oms"], check=True, cwd=ROOT)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return str(target / "release" / "oms")


def install():
    """Makes the virtual environment, unless it is there and its list has not changed since."""
    wanted = BENCH / "requirements.txt"
    stamp, now = PLACE / "python.stamp", hashlib.sha256(wanted.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == now:
        return
    say("installing other copiers, SeaweedFS and matplotlib")
    stamp.unlink(missing_ok=True)
    PLACE.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", PLACE / "python"], check=True)
    pip = [program("python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", wanted], check=True)
    stamp.write_text(now)


def command():
    """The command line without paths."""
    words, arguments = [f"tests/bench/{Path(sys.argv[0]).name}"], iter(sys.argv[1:])
    for word in arguments:
        if word in ("--oms", "--out"):
            next(arguments, None)
        elif not word.startswith(("--oms=", "--out=")):
            words.append(word)
    return " ".join(words)


def machine():
    """The machine in words, without names."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo", encoding="utf-8") as file:
        total = int(file.readline().split()[1]) / 2**20
    kernel = platform.release().split("-")[0]
    return f"{os.cpu_count()} cores ({model}), {total:.0f} GiB of memory, {platform.system()} {kernel}"


def busy():
    """How many processes wanted to run during the last minute."""
    return round(os.getloadavg()[0], 2)
