#!/usr/bin/env python3
"""Fills a bucket with objects; the same arguments always make the same objects.

    fill.py URL ACCESS_KEY SECRET_KEY BUCKET [--prefix P] [--objects N --size BYTES] [--large COUNT:BYTES] [--zoo] ...

Makes the bucket when it is not there, and prints one JSON line: {"bucket":..,"objects":N,"bytes":N,"seconds":S}.
"""

import argparse
import hashlib
import io
import json
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from s3tool import client

PART = 8 * 1024 * 1024

# Keys that are easy to get wrong: each has a character or a shape that some encoding, path or sorting step mistreats.
# Left out is what SeaweedFS, whose keys are paths, cannot hold: `a//b`, `a\b`, `.` and `..` as a segment, a key that is also a folder.
ZOO_KEYS = [
    "plain.txt",
    "with space.txt",
    " leading and trailing ",
    "plus+sign",
    "percent%41%2Fnot-decoded%",
    "question?mark=1&and=2",
    "hash#fragment",
    "quotes'\"both",
    "angle<b>&amp;",
    "semi;colon:colon@at,comma=equals!~*()[]{}^`|$",
    "ümlaut/日本語/한국어/emoji-🦀",
    "decomposed-e\u0301",
    "tab\there",
    "UPPER/Case",
    "upper/case",
    "dots/...three",
    "dots/.hidden",
    "a!",
    "a-",
    "a/1",
    "a/b-",
    "a/b/3",
    "0",
    "deep/" + "/".join("d%d" % i for i in range(30)) + "/leaf",
    "long/" + "k" * 200 + "/" + "v" * 200,
]
ZOO_FOLDERS = ["folder-marker/", "nested/folder marker/"]

# One object for each property that a copy must carry along, and one with all of them.
ZOO_PROPERTIES = {
    "type": {"ContentType": "text/html; charset=utf-8"},
    "language": {"ContentLanguage": "de, en-GB"},
    "disposition": {"ContentDisposition": "attachment; filename=\"a b.txt\"; filename*=UTF-8''%e2%82%ac.txt"},
    "cache": {"CacheControl": "max-age=60, must-revalidate"},
    "expires": {"Expires": datetime(2037, 1, 2, 3, 4, 5, tzinfo=timezone.utc)},
    # Not really compressed: whoever decodes a body on the way is found out.
    "encoding": {"ContentEncoding": "gzip"},
    "user": {"Metadata": {"owner": "someone", "with-dash": "a=b; c", "spaces": "two  inside", "number": "42"}},
}
ZOO_TAGS = {"team": "storage", "empty": "", "with space": "a+b=c/d"}


class Body(io.RawIOBase):
    """A body of `size` bytes that follows from its name, made while it is read, so that large ones take no memory."""

    def __init__(self, name, size):
        seed = hashlib.sha256(name.encode()).digest()
        # Repeating one block is enough: its length is no divisor of a part's, so every part differs.
        self.block = random.Random(seed).randbytes(1_000_003 if size > 1_000_003 else size)
        self.size, self.at = size, 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self.at

    def seek(self, offset, whence=io.SEEK_SET):
        self.at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        return self.at

    def read(self, count=-1):
        left = max(0, self.size - self.at)
        count = left if count is None or count < 0 else min(count, left)
        parts = []
        while count:
            start = self.at % len(self.block)
            piece = self.block[start : start + count]
            parts.append(piece)
            self.at += len(piece)
            count -= len(piece)
        return b"".join(parts)

    def readinto(self, buffer):
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def plan(args):
    """Yields (key, size, properties, tags) for every object that the arguments ask for."""
    for i in range(args.objects):
        # A thousand to a folder, as people's buckets have folders.
        yield f"small/{i // 1000:04d}/{i:07d}.bin", args.size, {}, None
    if args.large:
        count, size = map(int, args.large.split(":"))
        for i in range(count):
            yield f"large/{i:04d}.bin", size, {"ContentType": "application/x-large", "Metadata": {"part": str(i)}}, None
    if args.zoo:
        for i, key in enumerate(ZOO_KEYS):
            yield "zoo/keys/" + key, i * 37, {}, None
        for key in ZOO_FOLDERS:
            yield "zoo/keys/" + key, 0, {}, None
        yield "zoo/empty", 0, {"ContentType": "application/x-empty"}, None
        everything = {}
        for name, properties in ZOO_PROPERTIES.items():
            yield "zoo/properties/" + name, 100, properties, None
            everything.update(properties)
        yield "zoo/properties/all", 1000, everything, None
        if args.tags:
            yield "zoo/properties/tags", 10, {}, ZOO_TAGS


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("url", "access_key", "secret_key", "bucket"):
        parser.add_argument(name)
    parser.add_argument("--prefix", default="", help="put before every key")
    parser.add_argument("--objects", type=int, default=0, help="how many small objects")
    parser.add_argument("--size", type=int, default=4096, help="bytes in each of them")
    parser.add_argument("--large", metavar="COUNT:BYTES", help="large objects, sent as multipart uploads from %d bytes on" % PART)
    parser.add_argument("--zoo", action="store_true", help="awkward keys, and every property that an object can have")
    parser.add_argument("--tags", action="store_true", help="with --zoo: an object with tags too")
    parser.add_argument("--seed", default="0", help="another seed makes other bodies")
    parser.add_argument("--threads", type=int, default=16)
    args = parser.parse_args()

    s3 = client(args.url, args.access_key, args.secret_key, args.threads)
    try:
        s3.create_bucket(Bucket=args.bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
    multipart = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)

    def put(item):
        key, size, properties, tags = item
        body = Body(f"{args.seed}/{key}", size)
        key = args.prefix + key
        if size >= PART:
            s3.upload_fileobj(body, args.bucket, key, ExtraArgs=properties, Config=multipart)
        else:
            s3.put_object(Bucket=args.bucket, Key=key, Body=body.read(), **properties)
        if tags:
            tagging = {"TagSet": [{"Key": k, "Value": v} for k, v in tags.items()]}
            s3.put_object_tagging(Bucket=args.bucket, Key=key, Tagging=tagging)
        return size

    began = time.monotonic()
    with ThreadPoolExecutor(args.threads) as pool:
        sizes = list(pool.map(put, plan(args)))
    seconds = round(time.monotonic() - began, 2)
    print(json.dumps({"bucket": args.bucket, "objects": len(sizes), "bytes": sum(sizes), "seconds": seconds}))


if __name__ == "__main__":
    sys.exit(main())
