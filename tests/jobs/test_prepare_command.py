"""`mixlingual prepare`: data sets fetched from a web server that is a process of its own, and counted."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from jobs.cli import main
from retrieval import download
from retrieval.datasets.origins import Origin, RemoteFile

SENTENCES = {code: "".join(f"{code} sentence {n}.\n" for n in range(1997)) for code in ("aaa", "bbb")}
CODES = {"aaa": "deu", "bbb": "fin"}  # two languages of NTREX-128 whose content is not known, so any may be it


@dataclasses.dataclass
class Published:
    """The server's folder and address."""

    folder: Path
    url: str

    def requests(self) -> list[str]:
        log = self.folder / "requests.txt"
        return log.read_text().splitlines() if log.exists() else []

    def faults(self, **ends: list[int]) -> None:
        (self.folder / "faults.json").write_text(json.dumps({f"/{name}.txt": after for name, after in ends.items()}))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("published")
    for name, text in SENTENCES.items():
        (folder / f"{name}.txt").write_text(text)
    script = Path(__file__).with_name("published_files.py")
    with subprocess.Popen([sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Published(folder, f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.terminate()


@pytest.fixture
def published(server: Published, monkeypatch: pytest.MonkeyPatch) -> Published:
    """The server as the origin of NTREX-128, its log empty."""
    for name in ("requests.txt", "faults.json"):
        (server.folder / name).unlink(missing_ok=True)
    originate(monkeypatch, server)
    return server


def originate(monkeypatch: pytest.MonkeyPatch, server: Published, sha256: str | None = None, terms: str = "") -> None:
    files = tuple(
        RemoteFile(
            f"newstest2019-ref.{CODES[name]}.txt",
            f"{server.url}/{name}.txt",
            CODES[name],
            sha256 or hashlib.sha256(text.encode()).hexdigest(),
        )
        for name, text in SENTENCES.items()
    )
    origins = {**download.ORIGINS, "ntrex_128": lambda: Origin("1", "CC0", files, terms=terms)}
    monkeypatch.setattr(download, "ORIGINS", origins)


def prepare(folder: Path, *arguments: str, **data: Any) -> int:
    """Run the command on a configuration that evaluates on NTREX-128 and trains on nothing."""
    config = {
        "name": "counted",
        "root": str(folder / "root"),
        "data": {"evaluation": {"news": {"dataset": "ntrex_128", "path": str(folder / "news")}}} | data,
        "encoder": {"fresh": {}},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return main(["prepare", "--config", str(path), *arguments])


Captured = pytest.CaptureFixture[str]


def test_missing_files_are_fetched_once_and_counted(published: Published, tmp_path: Path, capsys: Captured) -> None:
    assert prepare(tmp_path, "--download", "--json") == EXIT_OK
    result = json.loads(capsys.readouterr().out)
    assert result["fetched"] == [str(tmp_path / "news")] and result["result_sets"] == []
    assert result["data_sets"] == [
        {
            "role": "evaluation",
            "name": "news",
            "total": {"queries": 3994, "passages": 3994},
            "languages": {code: {"queries": 1997, "passages": 1997} for code in ("de", "fi")},
        }
    ]
    assert published.requests() == ["/aaa.txt ", "/bbb.txt "]
    assert prepare(tmp_path, "--download") == EXIT_OK
    assert len(published.requests()) == 2
    assert capsys.readouterr().out.splitlines() == [
        "evaluation news: 3,994 queries, 3,994 passages in 2 languages",
        "  de  1,997 queries, 1,997 passages",
        "  fi  1,997 queries, 1,997 passages",
    ]


def test_a_connection_that_ends_is_resumed(published: Published, tmp_path: Path) -> None:
    published.faults(bbb=[1000, 500])
    assert prepare(tmp_path, "--download") == EXIT_OK
    assert published.requests()[1:] == ["/bbb.txt ", "/bbb.txt bytes=1000-", "/bbb.txt bytes=1500-"]
    assert (tmp_path / "news" / "newstest2019-ref.fin.txt").read_text() == SENTENCES["bbb"]


def test_a_later_command_goes_on_where_one_was_cut_off(
    published: Published, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first language is whole by then: that alone must not pass for the data set."""
    monkeypatch.setattr(download, "_ATTEMPTS", 1)
    published.faults(bbb=[700])
    assert prepare(tmp_path, "--download") == EXIT_FAILED
    (complaint,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mixlingual: ")]
    assert "/bbb.txt: the connection ended after 700 of " in complaint and "run again to go on" in complaint
    assert prepare(tmp_path, "--download") == EXIT_OK
    assert published.requests() == ["/aaa.txt ", "/bbb.txt ", "/bbb.txt bytes=700-"]
    assert "2 languages" in capsys.readouterr().out


def test_content_with_another_checksum_is_refused(
    published: Published, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    originate(monkeypatch, published, sha256="0" * 64)
    assert prepare(tmp_path, "--download") == EXIT_FAILED
    assert "aaa.txt: what came has SHA-256" in capsys.readouterr().err
    assert not list((tmp_path / "news").glob("*.txt"))


def test_terms_are_accepted_by_a_person_before_a_byte_is_fetched(
    published: Published, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    originate(monkeypatch, published, terms="research only (example.org/terms)")
    assert prepare(tmp_path, "--download") == EXIT_USAGE
    said = capsys.readouterr().err
    assert "ntrex_128: a person has to accept its terms first: research only (example.org/terms)" in said
    assert "--accept-terms" in said and not published.requests()
    assert prepare(tmp_path, "--download", "--accept-terms") == EXIT_OK


def test_what_a_person_has_to_get_is_said_before_a_byte_is_fetched(
    published: Published, tmp_path: Path, capsys: Captured
) -> None:
    both = {
        "news": {"dataset": "ntrex_128", "path": str(tmp_path / "news")},
        "questions": {"dataset": "afriqa", "path": str(tmp_path / "afriqa")},
    }
    assert prepare(tmp_path, "--download", evaluation=both) == EXIT_USAGE
    said = capsys.readouterr().err
    assert "afriqa: we may not or cannot fetch it for you; put the files per split" in said
    assert not published.requests() and not (tmp_path / "news").exists()


def test_without_the_option_nothing_is_fetched(published: Published, tmp_path: Path, capsys: Captured) -> None:
    assert prepare(tmp_path) == EXIT_USAGE
    assert "news: no such folder" in capsys.readouterr().err and not published.requests()
    assert prepare(tmp_path, "--accept-terms") == EXIT_USAGE
    assert "--accept-terms: says nothing without --download" in capsys.readouterr().err
