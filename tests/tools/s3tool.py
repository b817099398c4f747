"""What fill.py and verify.py share."""

import boto3
from botocore.config import Config


def client(url, access_key, secret_key, threads):
    """An S3 client that works with any S3-compatible server."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            # Otherwise boto3 sends a trailing checksum in an encoding that many servers do not know.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=threads + 2,
            retries={"max_attempts": 5, "mode": "standard"},
        ),
    )
