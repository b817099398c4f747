"""Units of what was measured: objects per second, or bytes where objects are large."""

LARGE = 1 << 20


def speed(row, run):
    """How fast a run was, in the unit that fits."""
    if row["size"] >= LARGE:
        return row["count"] * row["size"] / run["wall"] / LARGE
    return row["count"] / run["wall"]


def units(row):
    """Units of speed and of CPU."""
    if row["size"] >= LARGE:
        return "MiB/s", "CPU s per GiB"
    return ("keys/s" if row["again"] else "objects/s"), "CPU s per 10,000"


def cost(row, value):
    """CPU seconds in the unit that fits."""
    if row["size"] >= LARGE:
        return value / (row["count"] * row["size"]) * 2**30
    return value / row["count"] * 1e4


def right(run):
    return not run["wrong"] and not run["code"]


def label(run):
    return run["copier"] + (f" {run['in_flight']}" if run["in_flight"] and run["copier"] != "oms" else "")
