"""Stores of each kind, empty: a folder, moto and rclone as S3 servers."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from object_stores.servers import BUCKET, CREDENTIALS, moto_server, rclone_server

from cluster.storage import Store, open_store


@pytest.fixture(scope="session")
def credentials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def moto(credentials: None) -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture(scope="session")
def rclone(credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with rclone_server(tmp_path_factory.mktemp("rclone")) as url:
        yield url


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("MIXLINGUAL_STORAGE_CACHE", str(folder))
    return folder


@pytest.fixture
def s3_root(cache: Path) -> Callable[[str], str]:
    """Gives the URI of an empty root on a server."""
    return lambda url: f"s3://{BUCKET}/{uuid.uuid4().hex[:12]}/root?endpoint={url}"


@pytest.fixture(params=["local", "moto", "rclone"])
def root(request: pytest.FixtureRequest, tmp_path: Path, s3_root: Callable[[str], str]) -> str:
    if request.param == "local":
        return str(tmp_path / "root")
    return s3_root(request.getfixturevalue(request.param))


@pytest.fixture
def store(root: str) -> Store:
    return open_store(root)
