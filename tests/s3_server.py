"""A real S3 server (SeaweedFS) of our own in a temporary folder on loopback, for tests of the shared media store."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from machine import folder as run_folder
from machine import free_port, keep_until_the_end, once

ACCESS_KEY, SECRET_KEY = "only-for-tests", "only-for-tests-secret"
START_SECONDS = 180.0


@dataclass
class Server:
    """The server process; `stop` and `start` again for trials in which the store goes away."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        if self.ports:
            return  # it runs already
        for name in ("master", "volume", "filer", "s3"):
            # each listens for gRPC on a second port, named apart: port + 10000 may be taken, or no port at all
            self.ports[name], self.ports[f"{name}.grpc"] = free_port(), free_port()
        identity = {
            "name": "tests", "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }  # fmt: skip
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity]}))

    @property
    def url(self) -> str:
        """The address of its S3 interface."""
        return f"http://127.0.0.1:{self.ports['s3']}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        weed = Path(sys.executable).parent / "weed"
        (self.folder / "data").mkdir(exist_ok=True)
        words = [
            f"-dir={self.folder}/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
            f"-s3.config={self.folder}/s3.json", "-volume.max=10000", "-master.volumeSizeLimitMB=64",
            "-volume.minFreeSpace=0", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-filer.localSocket={self.folder}/filer.sock", f"-s3.localSocket={self.folder}/s3.sock",
        ]  # fmt: skip
        words += [
            f"-{name.replace('.grpc', '')}.port{'.grpc' * name.endswith('.grpc')}={port}"
            for name, port in self.ports.items()
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [weed, "-logtostderr", "server", *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                cwd=self.folder, env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin"}, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError((self.folder / "log").read_text(errors="replace")[-3000:])
            time.sleep(0.1)

    def stop(self) -> None:
        """End at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def client(self) -> Any:
        """Give a client of the tests' own."""
        options = Config(
            signature_version="s3v4", s3={"addressing_style": "path"}, connect_timeout=2, read_timeout=20
        )
        return boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1", config=options,
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Give what a process must have in its environment to reach this server."""
        return environment(self.url)

    def make_bucket(self, name: str) -> str:
        """Make an empty bucket; give its name."""
        self.client().create_bucket(Bucket=name)
        return name

    def empty(self, bucket: str) -> None:
        """Remove all objects of a bucket."""
        client = self.client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
            if keys:
                client.delete_objects(Bucket=bucket, Delete={"Objects": keys})

    def _answers(self) -> bool:
        # its parts come up one by one: a file that went in and out again proves them all
        try:
            client = self.client()
            with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="probe", Body=b"probe")
            return bool(client.get_object(Bucket="ready", Key="probe")["Body"].read() == b"probe")
        except (BotoCoreError, ClientError):
            return False


def environment(url: str) -> dict[str, str]:
    """Give the environment by which the product finds the store at an address."""
    return {
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip


@contextlib.contextmanager
def reachable(variables: Mapping[str, str]) -> Iterator[None]:
    """Have this process find a store by its environment until the end of the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def shared() -> Server:
    """Give the server that all processes of this test run share."""
    ports = json.loads(once("s3", _start_shared))
    return Server(run_folder() / "s3", ports)


def _start_shared() -> str:
    folder = run_folder() / "s3"
    folder.mkdir()
    server = Server(folder)
    server.start()
    assert server.process is not None
    keep_until_the_end(server.process.pid)
    return json.dumps(server.ports)


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Run a server until the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="dualcam-s3-", dir="/tmp"))
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
