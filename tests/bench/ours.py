#!/usr/bin/env python3
"""ours.py OMS SET [THREADS] : copies one bucket with `oms serve`, as one command, for a benchmark beside other copiers.

Starts the service on a fresh ledger, creates a task over HTTP, waits for its end, stops the service. The service is a child of
this process, so that its CPU time and memory count. The stores come from SRC_URL, SRC_AK, SRC_SK, DST_URL, DST_AK, DST_SK.
Prints the task; ends with 0 only if it succeeded.
"""

import json
import os
import sys

from lib.service import SUCCEEDED, THREADS, Service


class Given:
    """The stores of the environment."""

    @staticmethod
    def environment():
        return os.environ


def main():
    if len(sys.argv) < 3 or "--help" in sys.argv:
        sys.exit(__doc__)
    oms, bucket, *threads = sys.argv[1:]
    threads = min(int(threads[0]), THREADS) if threads else THREADS
    with Service(oms, Given()) as service:
        shown = service.wait(service.create(bucket, bucket, threads))
        print(json.dumps(shown))
        service.stop()
    sys.exit(0 if shown["status"] == SUCCEEDED else 1)


main()
