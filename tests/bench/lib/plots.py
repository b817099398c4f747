"""plots.py PART JSON SVG: draws what was measured. Run by report.py with the Python that has matplotlib."""

import json
import sys

import matplotlib
import units

matplotlib.use("svg")
# The same figures give the same file, with text as text.
matplotlib.rcParams.update({"svg.hashsalt": "oms", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False,
                            "axes.spines.right": False})
import matplotlib.pyplot as plt  # noqa: E402

COLOURS = {"floor": "#9a9a9a", "oms": "#c2410c", "rclone": "#3b6ea5", "juicefs": "#5b9a68", "s5cmd": "#8a6fb0"}


def bars(axis, names, values, colours, title):
    places = range(len(names), 0, -1)
    axis.barh(places, values, color=colours)
    axis.set_yticks(list(places), names)
    axis.set_title(title, loc="left", fontsize=9)
    axis.set_xlim(0, max(values, default=1) * 1.2 or 1)
    axis.xaxis.set_visible(False)
    axis.spines.bottom.set_visible(False)
    for place, value in zip(places, values):
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        axis.text(value, place, f" {shown}", va="center")


def peers(said):
    rows = said["rows"]
    heights = [len(row["measured"]) + 1.5 for row in rows]
    figure, axes = plt.subplots(len(rows), 2, figsize=(10, 0.22 * sum(heights) + 0.6), squeeze=False,
                                gridspec_kw={"height_ratios": heights})
    for row, (left, right) in zip(rows, axes):
        runs = [run for run in row["measured"] if units.right(run)]
        names, (fast, cheap) = [units.label(run) for run in runs], units.units(row)
        colours = [COLOURS[run["copier"]] for run in runs]
        bars(left, names, [units.speed(row, run) for run in runs], colours, f"{row['title']}: {fast}")
        bars(right, names, [units.cost(row, run["cpu"]) for run in runs], colours, cheap)
    return figure


def growth(said):
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4))
    kinds = list(dict.fromkeys(run["pass"] for run in said["measured"]))
    for kind, colour in zip(kinds, ("#c2410c", "#3b6ea5")):
        runs = [run for run in said["measured"] if run["pass"] == kind]
        counts = [run["count"] for run in runs]
        axes[0].plot(counts, [run["seconds"] / run["count"] * 1e6 for run in runs], "o-", color=colour, label=kind)
        axes[1].plot(counts, [run["rss"] for run in runs], "o-", color=colour, label=kind)
    axes[0].set(xscale="log", yscale="log", xlabel="objects", title="µs an object")
    axes[1].set(xscale="log", xlabel="objects", title="peak memory, MiB")
    axes[1].set_ylim(bottom=0)
    axes[0].legend(frameon=False)
    return figure


def api_load(said):
    runs = said["measured"]
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.35 * 4 * len(runs) + 0.8))
    names, values, colours = [], [], []
    for run in runs:
        for kind in ("show", "start"):
            for part in ("p50_ms", "p99_ms"):
                names.append(f"{run['title']}, {kind}, {part[:3]}")
                values.append(run["load"][kind][part])
                colours.append("#c2410c" if kind == "show" else "#3b6ea5")
    bars(axes[0], names, values, colours, "answer after, ms")
    names = [f"{run['title']}, {which} load" for run in runs for which in ("without", "with")]
    values = [run[which]["speed"] for run in runs for which in ("without", "with")]
    bars(axes[1], names, values, ["#9a9a9a", "#c2410c"] * len(runs), "the migration meanwhile, objects/s")
    return figure


def main():
    part, source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        said = json.load(file)
    figure = {"peers": peers, "growth": growth, "api_load": api_load}[part](said)
    if said["quick"]:
        figure.suptitle("quick run: shows that the benchmark works, not how fast anything is", fontsize=9)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


main()
