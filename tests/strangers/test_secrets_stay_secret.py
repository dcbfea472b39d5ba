"""A whole night with an `s3:` root, watched from outside: planted secrets appear in nothing that it writes or shows."""

import base64
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import yaml
from end_to_end.small_job import job_fields
from object_stores.servers import BUCKET, client, moto_server

from cluster.errors import EXIT_OK

pytestmark = [pytest.mark.ray, pytest.mark.distributed, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1500)]
REPOSITORY = Path(__file__).parents[2]
SECRETS = {
    name: f"planted-{secrets.token_hex(16)}"
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "OUR_API_KEY", "DB_PASSWORD")
} | {"RAY_AUTH_TOKEN": secrets.token_hex(32), "AWS_ACCESS_KEY_ID": "AKIA" + secrets.token_hex(8).upper()}
HOOK = f"/services/{secrets.token_hex(16)}"
"""Path of the webhook's URL, which is its secret."""


def forms(secret: str) -> set[bytes]:
    """How a secret may be written: as it is, in a URL, in base 64, in UTF-16."""
    plain = secret.encode()
    return {plain, quote(secret, safe="").encode(), base64.b64encode(plain).rstrip(b"="), secret.encode("utf-16-le")}


NEEDLES = {form: name for name, secret in (SECRETS | {"webhook": HOOK}).items() for form in forms(secret)}


def told(data: bytes) -> set[str]:
    """Names of the secrets that stand in the bytes."""
    return {name for form, name in NEEDLES.items() if form in data}


@dataclass
class Night:
    """What could be seen of a night from outside."""

    code: int
    output: bytes
    errors: bytes
    command_lines: dict[str, int] = field(default_factory=dict)
    """Every command line of its processes, and how often it was seen."""
    posted: list[bytes] = field(default_factory=list)
    folders: dict[str, Path] = field(default_factory=dict)
    url: str = ""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("night")
    ray_folder = Path(f"/tmp/ray-{secrets.token_hex(4)}")  # Ray makes sockets below it, whose paths must be short
    posted: list[bytes] = []
    try:
        with moto_server() as url, webhook(posted) as hook:
            found = watched(folder, ray_folder, url, hook)
            found.posted, found.url = posted, url
            found.folders = {"home": folder / "home", "cache": folder / "cache", "Ray's logs": ray_folder}
            yield found
    finally:
        shutil.rmtree(ray_folder, ignore_errors=True)


def webhook(posted: list[bytes]) -> Any:
    """A server on loopback that keeps what it is told; its URL."""
    import contextlib

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == HOOK
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    @contextlib.contextmanager
    def serving() -> Iterator[str]:
        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{HOOK}"
        server.shutdown()
        server.server_close()

    return serving()


def watched(folder: Path, ray_folder: Path, url: str, hook: str) -> Night:
    """Start `mixlingual nightly` and look at the command lines of all its processes until it ends."""
    run = job_fields(folder)
    run["arms"] = {"hybrid": {"mono": 0.5, "cross": 0.5}}
    run["training"] |= {"steps": 6, "workers": 2}
    run["data"] |= {"validation": None}
    run["root"] = f"s3://{BUCKET}/night?endpoint={url}"
    fields = {"run": run, "webhook_variable": "OUR_HOOK", "thresholds": {"min_drop": {"mAP": 0.02}}}
    (folder / "nightly.yaml").write_text(yaml.safe_dump(fields, allow_unicode=True), encoding="utf-8")
    (folder / "home").mkdir()
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RAY_", "MIXLINGUAL_"))}
    environment = plain | SECRETS | {
        "OUR_HOOK": hook,
        "HOME": str(folder / "home"),
        "RAY_TMPDIR": str(ray_folder),
        "MIXLINGUAL_STORAGE_CACHE": str(folder / "cache"),
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "jobs.cli",
        "nightly",
        "--config",
        str(folder / "nightly.yaml"),
        "--verbose",
        "--json",
    ]
    ray_folder.mkdir()
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(command, env=environment, cwd=REPOSITORY, stdout=out, stderr=err)
        seen: dict[str, int] = {}
        try:
            while process.poll() is None:
                for line in command_lines(psutil.Process(process.pid)):
                    seen[line] = seen.get(line, 0) + 1
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
    return Night(process.returncode, (folder / "out").read_bytes(), (folder / "err").read_bytes(), seen)


def command_lines(process: psutil.Process) -> list[str]:
    """Command lines of a process and those below it, as anybody on the machine can read them."""
    import contextlib

    found = []
    with contextlib.suppress(psutil.Error):
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                found.append(" ".join([one.name(), *one.cmdline()]))
    return found


def test_the_night_went_well_and_was_told(night: Night) -> None:
    assert night.code == EXIT_OK, night.errors.decode()[-3000:]
    assert len(night.posted) == 1 and json.loads(night.posted[0])["outcome"] == "first"


def test_nothing_printed_or_posted_tells_a_secret(night: Night) -> None:
    assert len(night.errors) > 500
    assert told(night.output) | told(night.errors) | told(b"".join(night.posted)) == set()


def test_no_process_shows_a_secret_to_its_neighbours(night: Night) -> None:
    lines = list(night.command_lines)
    assert any("raylet" in line for line in lines) and any("RayTrainWorker" in line for line in lines)
    assert {name for line in lines for name in told(line.encode())} == set()


def test_nothing_in_the_bucket_tells_a_secret(night: Night) -> None:
    bucket = client(night.url)
    keys = [
        item["Key"]
        for page in bucket.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        for item in page["Contents"]
    ]
    assert any(key.endswith("index.html") for key in keys) and any("/encoders/" in key for key in keys)
    telling = {}
    for key in keys:
        names = told(key.encode() + bucket.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        if names:
            telling[key] = names
    assert telling == {}


@pytest.mark.parametrize("place", ["home", "cache", "Ray's logs"])
def test_nothing_on_the_disk_tells_a_secret(night: Night, place: str) -> None:
    files = [path for path in night.folders[place].rglob("*") if path.is_file() and not path.is_symlink()]
    assert files or place == "home"
    assert {str(path): names for path in files if (names := told(str(path).encode() + path.read_bytes()))} == {}
