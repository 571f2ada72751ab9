"""Chooses the media store that MEDIA_URL names."""

from pathlib import Path

from receiver.store.local_folder import LocalFolder
from receiver.store.media_store import Media


def connect(url: str) -> Media:
    """Give the store that MEDIA_URL names: file:///folder or s3://bucket/prefix."""
    if url.startswith("s3://"):
        from receiver.store.s3 import S3Bucket  # boto3 takes memory that a folder does not need

        name, _, prefix = url.removeprefix("s3://").partition("/")
        return S3Bucket(name, prefix)
    return LocalFolder(Path(url.removeprefix("file://")))
