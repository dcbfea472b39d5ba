"""Two real S3 servers on loopback, each in a process of its own: moto (conditional writes) and rclone (none)."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
from botocore.config import Config

BUCKET = "mixlingual-test"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "a-key-of-the-tests", "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests"}
# moto looks whether an object is there and then writes it: one request at a time makes that the one step it is on S3.
_MOTO = """
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
print(f"http://127.0.0.1:{server.port}/", flush=True)
server.serve_forever()
"""


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """URL of a running moto."""
    with _serving([sys.executable, "-c", _MOTO]) as url:
        yield url


@contextlib.contextmanager
def rclone_server(folder: Path) -> Iterator[str]:
    """URL of a running `rclone serve s3` that keeps its buckets in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rclone = Path(sys.executable).with_name("rclone")
    keys = ",".join(CREDENTIALS.values())
    command = [str(rclone), "serve", "s3", "--addr", "127.0.0.1:0", "--config", os.devnull, "--auth-key", keys]
    with _serving([*command, str(folder)]) as url:
        yield url


@contextlib.contextmanager
def _serving(command: list[str]) -> Iterator[str]:
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        said = ""
        for line in server.stdout:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                # What it says later goes nowhere; a full pipe would stop it.
                drain = subprocess.Popen(["cat"], stdin=server.stdout, stdout=subprocess.DEVNULL)
                server.stdout.close()
                client(found[0]).create_bucket(Bucket=BUCKET)
                yield found[0]
                break
        else:
            raise RuntimeError(f"{command[0]} did not start: {said}")
    finally:
        server.kill()
        server.wait()
    drain.wait()


def client(url: str):
    """A client of our own, to look behind a store's back."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(s3={"addressing_style": "path"}),
    )
