"""Writes what was measured: a JSON file and a plot for each script, and one README.md with all their tables."""

import json
import subprocess
from pathlib import Path

from . import tools
from .copiers import NOTES
from .units import cost, label, right, speed, units

PARTS = ("peers", "growth", "api_load")
# These rows are in the project's README, between these lines.
IN_README = ("small", "small-late", "again", "medium", "small-weed")
BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"
QUICK = "**Quick run, with few objects: it shows that the benchmark works, not how fast anything is.**"


def folder(given):
    """Where results go. A quick run, or a part of one, does not replace those that count."""
    if given.out:
        return Path(given.out)
    if given.quick:
        return tools.PLACE / "quick"
    return tools.PLACE / "part" if given.part else tools.RESULTS


def show_in_readme(said, given):
    """Replaces the table in the project's README. It is short, because the README must be."""
    if folder(given) != tools.RESULTS:
        return
    file = tools.ROOT / "README.md"
    before, rest = file.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    lines = []
    for row in [row for row in said["rows"] if row["row"] in IN_README]:
        cells = []
        for choose in (lambda name: name == "floor", lambda name: name not in ("oms", "floor"), lambda name: name == "oms"):
            run = best(row, choose)
            name = f" ({run['copier']})" if run and run["copier"] not in ("floor", "oms") else ""
            cells.append(f"{number(speed(row, run))}; {number(cost(row, run['cpu']))}{name}" if run else "–")
        lines.append([f"{row['title']}: {units(row)[0]}", *cells])
    text = table(["work", "bare loop", "best of others", "`oms`"], lines)
    text += ("\nAfter the speed: CPU seconds per 10,000 objects, or per GiB.\n"
             f"`{said['command']}`, {said['date']}, {said['machine']}.\n")
    file.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


def number(value):
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head, lines):
    """A table in Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(map(str, row)) + " |\n" for row in rows)


def write(part, said, given):
    """Writes one part, and the page of all parts anew."""
    place = folder(given)
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{part}.json").write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    # The virtual environment has matplotlib; the one that runs this script may not.
    plot = [tools.program("python"), str(tools.BENCH / "lib" / "plots.py"), part, str(place / f"{part}.json"),
            str(place / f"{part}.svg")]
    subprocess.run(plot, check=True)
    (place / "README.md").write_text(page(place), encoding="utf-8")
    tools.say(f"results: {place / 'README.md'}")


def page(place):
    """The page of all parts that were measured."""
    text = "# Results of the benchmarks\n\nWritten by the scripts in `tests/bench`; the figures are in the JSON files too.\n"
    for part in PARTS:
        file = place / f"{part}.json"
        if file.is_file():
            said = json.loads(file.read_text(encoding="utf-8"))
            text += {"peers": peers, "growth": growth, "api_load": api_load}[part](said)
    return text


def heading(title, said, part):
    text = f"\n## {title}\n\n" + (QUICK + "\n\n" if said["quick"] else "")
    text += f"`{said['command'].strip()}`, {said['date']}, {said['machine']}. "
    if said["busy"] > 0.5:
        text += f"Other processes used the machine before it began (load {said['busy']}). "
    return text + "\n" + f"\n![plot]({part}.svg)\n\n"


def best(row, choose):
    """The fastest run of those that worked."""
    runs = [run for run in row["measured"] if choose(run["copier"]) and right(run)]
    return max(runs, key=lambda run: speed(row, run), default=None)


def summary(said):
    """The table of the best of each kind."""
    lines = []
    for row in said["rows"]:
        ours, floor = best(row, lambda name: name == "oms"), best(row, lambda name: name == "floor")
        peer = best(row, lambda name: name not in ("oms", "floor"))
        fast, cheap = units(row)
        cells = [f"{row['title']}, {fast}"]
        for run in (floor, peer, ours):
            name = f"{label(run)}: " if run and run is not ours else ""
            cells.append(f"{name}{number(speed(row, run))}; {number(cost(row, run['cpu']))} {cheap}" if run else "–")
        cells[-1] += f"; {ours['rss']:.0f} MiB" if ours else ""
        for other in (floor, peer):
            both = ours and other
            cells.append(f"{speed(row, ours) / speed(row, other):.2f}" if both else "–")
        lines.append([*cells, row["goal"]])
    return table(["work", "floor", "best peer", "`oms`", "`oms` / floor", "`oms` / best peer", "goal"], lines)


def peers(said):
    text = heading("Beside other copiers", said, "peers") + summary(said)
    text += (f"\nMedians of {said['runs']}, copiers in turn. CPU and memory are those of the copier's own processes. Behind a "
             "copier's name: how many objects it has in flight; for large objects, each in 4 parts.\n\n")
    used = {run["copier"] for row in said["rows"] for run in row["measured"]}
    text += "".join(f"- **{name}**: {note}\n" for name, note in NOTES.items() if name in used)
    text += "- **stores**: CPU of both stores together. They and the copier share all cores. "
    text += "The store in memory checks no signature" + (
        ".\n" if said["hash"] else ", and recognises the objects' bytes by comparison where a real store hashes them.\n")
    for row in said["rows"]:
        fast, cheap = units(row)
        lines = []
        for run in row["measured"]:
            walls = f"{min(run['walls']):.2f}–{max(run['walls']):.2f}" if len(run["walls"]) > 1 else f"{run['wall']:.2f}"
            state = "" if right(run) else f"**{run['wrong']:.0f} wrong, exit code {run['code']}**"
            lines.append([label(run), f"{run['wall']:.2f}", walls, number(speed(row, run)), f"{run['cpu']:.2f}",
                          number(cost(row, run["cpu"])), f"{run['rss']:.0f}", f"{run['stores_cpu']:.2f}", state])
        head = ["copier", "wall s", "from–to", fast, "CPU s", cheap, "peak MiB", "stores' CPU s", ""]
        text += f"\n### {row['title']}\n\nStores: {row['store']}.\n\n" + table(head, lines)
    return text


def growth(said):
    lines = []
    for run in said["measured"]:
        lines.append([f"{run['count']:,}", run["pass"], f"{run['seconds']:.2f}", f"{run['seconds'] / run['count'] * 1e6:,.1f}",
                      f"{run['count'] / run['seconds']:,.0f}", f"{run['cpu'] / run['count'] * 1e6:,.1f}", f"{run['rss']:.0f}"])
    head = ["empty objects", "pass", "seconds", "µs an object", "objects/s", "CPU µs an object", "peak MiB"]
    return heading("Growth", said, "growth") + table(head, lines) + (
        "\nSeconds are those that the task ran, as it says itself. CPU and memory are those of the whole process, with its "
        "start. Stores: in memory.\n")


def api_load(said):
    lines = []
    for run in said["measured"]:
        for kind, what in (("show", "`GET` show"), ("start", "refused start")):
            seen = run["load"][kind]
            statuses = ", ".join(f"{status}: {count:,}" for status, count in seen["statuses"].items())
            lines.append([run["title"], what, f"{seen['requests'] / run['load']['seconds']:,.0f}", seen["p50_ms"], seen["p90_ms"],
                          seen["p99_ms"], seen["max_ms"], statuses])
    text = heading("The API under load, beside a migration", said, "api_load")
    text += table(["stores", "call", "calls/s", "p50 ms", "p90 ms", "p99 ms", "max ms", "statuses"], lines) + "\n"
    lines = []
    for run in said["measured"]:
        without, under = run["without"], run["with"]
        lines.append([run["title"], f"{without['speed']:,.0f}", f"{under['speed']:,.0f}",
                      f"{under['speed'] / without['speed']:.2f}", f"{without['cpu']:.2f}", f"{under['cpu']:.2f}"])
    text += table(["stores", "objects/s without load", "with load", "ratio", "CPU of `oms` without", "with"], lines)
    due = said["measured"][0]["rate"]
    return text + (f"\n{due:,} calls a second were due, of both kinds in turn; where fewer were answered, the service did not keep "
                   "up. An answer's time counts from when its request was due. The migration "
                   "copies empty objects. CPU is in cores. Without load: before and after it, the mean. The load itself, both "
                   "stores and `oms` share all cores.\n")
