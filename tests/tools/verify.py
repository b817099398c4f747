#!/usr/bin/env python3
"""Compares two buckets byte for byte and property for property, with a client that shares no code with the service.

    verify.py --source URL ACCESS_KEY SECRET_KEY BUCKET PREFIX --target URL ACCESS_KEY SECRET_KEY BUCKET PREFIX ...

The source's PREFIX selects which objects are compared and stays part of their keys. The target's PREFIX is put before
them, as a migration's save prefix is: source key K is compared with target key PREFIX + K. Either may be "".

Prints one JSON line and exits 0 only when the two are equal:
{"equal":false,"compared":N,"bytes":N,"missing":[..],"extra":[..],"different":[{"key":..,"why":..}],"counts":{..}}
Each list holds at most ten entries; `counts` has how many there are.
"""

import argparse
import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor

from s3tool import client

PROPERTIES = ["ContentType", "ContentEncoding", "ContentLanguage", "ContentDisposition", "CacheControl", "ExpiresString", "Metadata"]
SHOWN = 10


class Side:
    def __init__(self, arguments, threads):
        url, access_key, secret_key, self.bucket, self.prefix = arguments
        self.s3 = client(url, access_key, secret_key, threads)

    def keys(self):
        """Every key and its size. All keys are held at once: the two sides need not list in the same order."""
        found = {}
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix):
            for entry in page.get("Contents", []):
                if entry["Key"] in found:
                    sys.exit(f"verify.py: {self.bucket} lists {entry['Key']!r} twice")
                found[entry["Key"]] = entry["Size"]
        return found

    def read(self, key, tags):
        """(SHA-256 of the body, its length, its properties), from one GET."""
        answer = self.s3.get_object(Bucket=self.bucket, Key=key)
        digest, length = hashlib.sha256(), 0
        for chunk in answer["Body"].iter_chunks(256 * 1024):
            digest.update(chunk)
            length += len(chunk)
        properties = {name: answer.get(name) for name in PROPERTIES}
        if tags:
            tag_set = self.s3.get_object_tagging(Bucket=self.bucket, Key=key)["TagSet"]
            properties["Tags"] = {tag["Key"]: tag["Value"] for tag in tag_set}
        return digest.hexdigest(), length, properties


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    place = ("URL", "ACCESS_KEY", "SECRET_KEY", "BUCKET", "PREFIX")
    parser.add_argument("--source", nargs=5, metavar=place, required=True)
    parser.add_argument("--target", nargs=5, metavar=place, required=True)
    parser.add_argument("--ignore-prefix", action="append", default=[], metavar="PREFIX",
                        help="target keys beginning so are not counted as extra, such as oms/ for its lists (repeatable)")
    parser.add_argument("--ignore", action="append", default=[], choices=PROPERTIES, metavar="PROPERTY",
                        help="a property that need not be equal (repeatable): " + ", ".join(PROPERTIES))
    parser.add_argument("--tags", action="store_true", help="compare the objects' tags too")
    parser.add_argument("--threads", type=int, default=16)
    args = parser.parse_args()

    source, target = Side(args.source, args.threads), Side(args.target, args.threads)
    wanted, found = source.keys(), target.keys()
    ignored = tuple(args.ignore_prefix)
    expected = {target.prefix + key for key in wanted}
    missing = sorted(key for key in wanted if target.prefix + key not in found)
    extra = sorted(key for key in found if key not in expected and not key.startswith(ignored))

    def compare(key):
        """Why the two objects differ, as a list of reasons."""
        ours, theirs = wanted[key], found[target.prefix + key]
        if ours != theirs:
            return key, [f"listed sizes: {ours} and {theirs}"], 0
        a_digest, a_length, a = source.read(key, args.tags)
        b_digest, b_length, b = target.read(target.prefix + key, args.tags)
        why = []
        if a_digest != b_digest:
            why.append(f"bodies: SHA-256 {a_digest[:16]}… of {a_length} bytes and {b_digest[:16]}… of {b_length} bytes")
        why += [f"{name}: {a[name]!r} and {b[name]!r}" for name in a if name not in args.ignore and a[name] != b[name]]
        return key, why, a_length

    compared, size, different = 0, 0, []
    with ThreadPoolExecutor(args.threads) as pool:
        for key, why, length in pool.map(compare, sorted(wanted.keys() - set(missing))):
            compared += 1
            size += length
            if why:
                different.append({"key": key, "why": "; ".join(why)})

    equal = not (missing or extra or different)
    summary = {"equal": equal, "compared": compared, "bytes": size}
    summary |= {"missing": missing[:SHOWN], "extra": extra[:SHOWN], "different": different[:SHOWN]}
    summary["counts"] = {"missing": len(missing), "extra": len(extra), "different": len(different)}
    print(json.dumps(summary, ensure_ascii=False))
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
