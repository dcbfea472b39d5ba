"""Downloads from a real HTTP server on this machine: resumed, checked, unpacked, refused."""

import hashlib
import io
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import DataError, WorkError
from retrieval import download as module
from retrieval.datasets import DATASETS, parse_dataset
from retrieval.datasets.origins import ORIGINS, Origin, RemoteFile
from retrieval.download import download, fetch

CONTENT = bytes(range(256)) * 40


@dataclass
class Site:
    """What the server has and how it behaves, and what it was asked for."""

    files: dict[str, bytes]
    url: str = ""
    end_after: list[int] = field(default_factory=list)
    """Bytes after which the next answers end early."""
    redirect: dict[str, str] = field(default_factory=dict)
    tag: str = '"1"'
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Path and Range header."""


def handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            site.requests.append((self.path, asked))
            if self.path in site.redirect:
                self.send_response(302)
                self.send_header("Location", site.redirect[self.path])
                self.end_headers()
                return
            if self.path not in site.files:
                self.send_error(404)
                return
            body, start = site.files[self.path], 0
            if asked and self.headers.get("If-Range") == site.tag:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            self.send_header("ETag", site.tag)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            rest = body[start:]
            self.wfile.write(rest[: site.end_after.pop(0)] if site.end_after else rest)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def site() -> Iterator[Site]:
    """A server on loopback for the length of a test."""
    site = Site({"/file": CONTENT})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(site))
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def remote(site: Site, path: str = "file", **fields: Any) -> RemoteFile:
    return RemoteFile(path, f"{site.url}/{path}", **fields)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_is_fetched_once(site: Site, tmp_path: Path) -> None:
    file = remote(site, sha256=sha256(CONTENT))
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    fetch(file, tmp_path)
    assert site.requests == [("/file", "")]
    assert names(tmp_path) == ["file"]


def test_what_is_missing_is_asked_for_and_no_more(site: Site, tmp_path: Path) -> None:
    site.end_after = [1000, 3000]
    assert fetch(remote(site, sha256=sha256(CONTENT)), tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in site.requests] == ["", "bytes=1000-", "bytes=4000-"]


def test_a_later_run_goes_on_where_one_ended(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ATTEMPTS", 1)
    site.end_after = [5000]
    with pytest.raises(WorkError, match="ended after 5000 of 10240 bytes; what came so far is kept, run again"):
        fetch(remote(site), tmp_path)
    assert names(tmp_path) == ["file.part", "file.part.tag"]
    assert fetch(remote(site, sha256=sha256(CONTENT)), tmp_path).read_bytes() == CONTENT
    assert site.requests[1] == ("/file", "bytes=5000-")


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"old" * 100)
    (tmp_path / "file.part.tag").write_text('"0"')
    assert fetch(remote(site), tmp_path).read_bytes() == CONTENT
    assert site.requests == [("/file", "bytes=300-")]


def test_a_part_that_is_whole_is_finished(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    (tmp_path / "file.part.tag").write_text(site.tag)
    assert fetch(remote(site, sha256=sha256(CONTENT)), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("present", [False, True])
def test_damaged_content_is_refused_and_not_kept(site: Site, tmp_path: Path, present: bool) -> None:
    if present:
        (tmp_path / "file").write_bytes(b"damaged here")
    with pytest.raises(WorkError, match=r"/file: what came has SHA-256 \w{12}\.\.\., expected \w{12}\.\.\.: damaged"):
        fetch(remote(site, sha256=sha256(b"other")), tmp_path)
    assert names(tmp_path) == (["file"] if present else [])
    assert fetch(remote(site, sha256=sha256(CONTENT)), tmp_path).read_bytes() == CONTENT


def test_refusals_of_the_server_are_final_and_named(site: Site, tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="/gone: the server answered 404"):
        fetch(remote(site, "gone"), tmp_path)
    assert len(site.requests) == 1


def test_only_https_is_fetched_also_after_a_redirection(site: Site, tmp_path: Path) -> None:
    site.redirect = {
        "/here": f"{site.url}/file",
        "/out": "http://192.0.2.1/file",
        "/file-scheme": "file:///etc/hostname",
    }
    assert fetch(remote(site, "here"), tmp_path).read_bytes() == CONTENT
    with pytest.raises(WorkError, match=re.escape("http://192.0.2.1/file: refused; only https is fetched")):
        fetch(remote(site, "out"), tmp_path)
    with pytest.raises(WorkError):
        fetch(remote(site, "file-scheme"), tmp_path)
    with pytest.raises(WorkError, match="refused; only https is fetched"):
        fetch(RemoteFile("x", "ftp://192.0.2.1/file"), tmp_path)


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("data/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "pack"), [("zip", zipped), ("tar", tarred)])
def test_archives_are_unpacked_into_the_folder_and_nowhere_else(
    site: Site, tmp_path: Path, kind: Any, pack: Any
) -> None:
    site.files["/a"] = pack({"data/dev/x.txt": b"x", "data/y.txt": b"y", "__MACOSX/data/._y.txt": b"z"})
    fetch(remote(site, "a", unpack=kind, strip=1), tmp_path / "kept")
    assert names(tmp_path / "kept") == ["a", "dev/x.txt", "y.txt"]
    fetch(remote(site, "a", unpack=kind), tmp_path / "flat")
    assert names(tmp_path / "flat") == ["a", "x.txt", "y.txt"]
    for bad in ("data/../../out.txt", "/out.txt", "data\\..\\out.txt"):
        site.files["/bad"] = pack({bad: b"!"})
        with pytest.raises(WorkError, match="which is not a file inside of its folder; not unpacked"):
            fetch(remote(site, "bad", unpack=kind, strip=0), tmp_path / "bad")
    assert not list(tmp_path.rglob("out.txt"))
    site.files["/cut"] = site.files["/a"][:-30]
    with pytest.raises(WorkError, match="/cut: not a whole archive"):
        fetch(remote(site, "cut", unpack=kind), tmp_path / "cut")
    assert "cut" not in names(tmp_path / "cut")


def test_archives_that_unpack_to_too_much_are_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_UNPACKED_BYTES", 1000)
    site.files["/a"] = zipped({"x": b"0" * 999, "y": b"00"})
    with pytest.raises(WorkError, match="unpacks to more than 0 GiB"):
        fetch(remote(site, "a", unpack="zip"), tmp_path)


def test_a_data_set_is_fetched_in_the_languages_it_is_read_in(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = Origin("1", "CC0", tuple(remote(site, f"{code}.txt", language=code) for code in ("eng", "deu", "fra")))
    site.files |= {f"/{code}.txt": b"text\n" for code in ("eng", "deu", "fra")}
    monkeypatch.setattr(module, "ORIGINS", {"ntrex_128": lambda: origin})
    config = parse_dataset({"dataset": "ntrex_128", "languages": ["de", "en"]})
    assert download(config, tmp_path) == tmp_path / "ntrex_128"
    assert names(tmp_path) == ["ntrex_128/deu.txt", "ntrex_128/eng.txt"]
    download(parse_dataset({"dataset": "ntrex_128"}), tmp_path)
    assert [path for path, _ in site.requests] == ["/eng.txt", "/deu.txt", "/fra.txt"]
    with pytest.raises(DataError, match="cannot download language 'sw'; those whose content is known: de, en, fr"):
        download(parse_dataset({"dataset": "ntrex_128", "languages": ["swa"]}), tmp_path)


def test_terms_are_a_persons_to_accept(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = Origin("1", "research only", (remote(site),), terms="non-commercial research only (example.org/terms)")
    monkeypatch.setattr(module, "ORIGINS", {"ntrex_128": lambda: origin})
    config = parse_dataset({"dataset": "ntrex_128"})
    with pytest.raises(DataError, match=r"a person has to accept its terms first: non-commercial .*example.org/terms"):
        download(config, tmp_path)
    assert not site.requests
    assert names(download(config, tmp_path, accept_terms=True)) == ["file"]


def test_what_cannot_be_fetched_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="mmarco: we may not or cannot fetch it for you; read and accept MS MARCO's terms"
    ):
        download(parse_dataset({"dataset": "mmarco", "path": "x"}), tmp_path)
    with pytest.raises(DataError, match="atlas: cannot be downloaded; data sets that can: afriqa"):
        download(parse_dataset({"dataset": "atlas"}), tmp_path)


def test_the_table_is_complete_and_pinned() -> None:
    assert set(ORIGINS) <= set(DATASETS)
    for name, make in ORIGINS.items():
        origin = make()
        assert origin.version and origin.licence
        assert bool(origin.files) != bool(origin.by_hand), name
        assert len({file.path for file in origin.files}) == len(origin.files)
        for file in origin.files:
            assert file.url.startswith("https://") and (not file.sha256 or re.fullmatch("[0-9a-f]{64}", file.sha256))
            if "githubusercontent" in file.url and not file.sha256:
                assert re.search("/[0-9a-f]{40}/", file.url), file.url
    assert [len(ORIGINS[name]().files) for name in ("sib_200", "ntrex_128", "tatoeba", "tico_19")] == [615, 31, 80, 37]
