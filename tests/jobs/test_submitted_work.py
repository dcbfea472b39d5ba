"""Packages, ids, environments of jobs: what needs no cluster."""

import argparse
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from cluster.errors import ConfigError
from jobs.cli import command_names, parse
from jobs.submission import package as packing
from jobs.submission.cluster import dashboard_address, exit_code
from jobs.submission.follow import _Log
from jobs.submission.package import Package, checkout_files, pack
from jobs.submission.work import Work, check_config, check_root, job_environment, job_name, job_resources, own_words

REPOSITORY = Path(__file__).parents[2]


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


TREE = {
    ".gitignore": "/runs/\n*.log\n!kept.log\n",
    "a.py": "a",
    "b/.gitignore": "/only-here\n",
    "b/c.py": "c",
    "b/d/only-here": "packed: the rule is about b/only-here",
    "b/only-here": "x",
    "b/x.log": "x",
    "data/big.bin": "x",
    "kept.log": "kept",
    "runs/deep/file": "x",
    "sub/runs/file": "packed: the rule is about the top",
}


def test_ignore_files_are_read_as_git_reads_them(tmp_path: Path) -> None:
    write(tmp_path, TREE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True, env=environment)
    listed = subprocess.run(
        ["git", "-C", tmp_path, "ls-files", "--others", "--exclude-standard"],
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    expected = set(listed.stdout.split())
    assert set(checkout_files(tmp_path)) == expected and "b/d/only-here" in expected and "b/only-here" not in expected
    write(tmp_path, {".rayignore": "/data/\n", ".venv/bin/python": "x", "b/__pycache__/c.pyc": "x"})
    assert set(checkout_files(tmp_path)) == expected - {"data/big.bin"} | {".rayignore"}


def test_links_to_files_are_packed_and_links_to_folders_are_not(tmp_path: Path) -> None:
    write(tmp_path, {"out/side.txt": "s", "in/a.txt": "a"})
    (tmp_path / "in" / "file").symlink_to(tmp_path / "out" / "side.txt")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "broken").symlink_to(tmp_path / "nowhere")
    assert set(checkout_files(tmp_path / "in")) == {"a.txt", "file"}


def test_equal_files_make_equal_packages(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name, {"z.py": "z", "a/b.py": "b"}) for name in ("first", "second"))
    os.utime(second / "z.py", (1, 1))
    packages = [pack(folder, tmp_path / f"{folder.name}.zip") for folder in (first, second)]
    assert packages[0].digest == packages[1].digest and packages[0].files == {"z.py", "a/b.py"}
    assert packages[0].path.read_bytes() == packages[1].path.read_bytes()
    with zipfile.ZipFile(packages[0].path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"z.py": b"z", "a/b.py": b"b"}
    for change in ({"z.py": "y"}, {"more.py": ""}):
        assert pack(write(second, change), tmp_path / "changed.zip").digest != packages[0].digest
    (first / "z.py").chmod(0o755)
    assert pack(first, tmp_path / "changed.zip").digest != packages[0].digest


def test_what_no_cluster_takes_names_the_largest_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LIMIT_BYTES", 2000)
    (tmp_path / "in").mkdir()
    for name, size in (("small", 10), ("large", 1500), ("larger", 1600), ("d", 900), ("e", 20)):
        (tmp_path / "in" / name).write_bytes(os.urandom(size))
    with pytest.raises(
        ConfigError, match=r"name what the job does not need in \.rayignore.*: larger \(0\.0 MiB\), large"
    ):
        pack(tmp_path / "in", tmp_path / "package.zip")
    for folder, said in (("none", "no such folder"), ("empty", "nothing to pack")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ConfigError, match=said):
            pack(tmp_path / folder, tmp_path / "package.zip")


def work(digest: str = "d", environment: dict[str, str] | None = None, command: str = "run", name: str = "n") -> Work:
    return Work((command,), name, Package(Path("x"), frozenset(), 0, digest), environment or {})


def test_the_same_work_has_the_same_id() -> None:
    assert work().id == work().id and work().id.startswith("n-")
    secret = {"AWS_SECRET_ACCESS_KEY": "1"}
    assert work(environment=secret).id == work(environment={"AWS_SECRET_ACCESS_KEY": "2"}).id == work().id
    others = [work("e"), work(environment={"AWS_REGION": "eu"}), work(command="check"), work(name="m")]
    assert len({work().id, *(other.id for other in others)}) == 5


def test_our_commands_are_known_with_and_without_the_program() -> None:
    known = command_names()
    assert {"run", "nightly", "submit", "storage"} <= set(known)
    assert own_words(["mixlingual", "run", "x"], known) == own_words(["run", "x"], known) == ("run", "x")
    assert own_words(["python", "run.py"], known) == ()
    for words, said in (
        ([], "no command"),
        (["mixlingual"], "known: run"),
        (["mixlingual", "rnu"], "rnu: no such command"),
    ):
        with pytest.raises(ConfigError, match=said):
            own_words(words, known)


def named(words: list[str], given: str | None = None) -> str:
    own = own_words(words, command_names())
    return job_name(given, own, parse(own) if own else None, words)


def test_names_say_what_runs() -> None:
    assert named(["run", "--config", "jobs/configs/quickstart.yaml", "training.steps=2"]) == "run-quickstart"
    assert named(["nightly", "--config", "n.yaml", "--date", "2026-11-20"]) == "nightly-n-2026-11-20"
    assert named(["/usr/bin/python", "x.py"]) == "python" and named(["???"]) == "job"
    assert named(["run", "--config", "x.yaml"], given="mine.1") == "mine.1"
    with pytest.raises(ConfigError, match="--name a/b: names are"):
        named(["true"], given="a/b")


def test_a_job_gets_the_settings_of_its_root_and_secrets_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "MIXLINGUAL_"))]:
        monkeypatch.delenv(name)
    here = {
        "MIXLINGUAL_STORAGE_ENDPOINT": "http://s3:9000",
        "MIXLINGUAL_STORAGE_CACHE": "/mine",
        "MIXLINGUAL_STORAGE_CACHE_GIB": "3",
        "AWS_REGION": "eu-1",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_PROFILE": "mine",
    }
    for name, value in here.items():
        monkeypatch.setenv(name, value)
    passed = {name: here[name] for name in ("MIXLINGUAL_STORAGE_ENDPOINT", "AWS_REGION")}
    assert job_environment([]) == passed
    wanted = ["AWS_SECRET_ACCESS_KEY", "OMP_NUM_THREADS=2", "AWS_REGION="]
    assert job_environment(wanted) == passed | {
        "AWS_SECRET_ACCESS_KEY": "a-secret", "OMP_NUM_THREADS": "2", "AWS_REGION": "",
    }  # fmt: skip
    for item, said in (
        ("HF_TOKEN=a-secret", "a secret on the command line; set HF_TOKEN here and use --env HF_TOKEN"),
        ("NOT_SET_HERE", "--env NOT_SET_HERE: not set here"),
        ("a b=c", "no name of a variable"),
    ):
        with pytest.raises(ConfigError, match=said) as error:
            job_environment([item])
        assert "a-secret" not in str(error.value)


def test_resources_of_the_command() -> None:
    assert job_resources(0, 0, []) == {}
    assert job_resources(4, 0.5, ["driver=1", "none=0"]) == {
        "entrypoint_num_cpus": 4, "entrypoint_num_gpus": 0.5, "entrypoint_resources": {"driver": 1},
    }  # fmt: skip
    for cpus, others, said in (
        (-1, [], "--cpus -1: give an amount"),
        (0, ["driver"], "--resource driver: give"),
        (0, ["=1"], "--resource =1: give"),
        (float("nan"), [], "--cpus nan: give"),
    ):
        with pytest.raises(ConfigError, match=said):
            job_resources(cpus, 0, others)


def test_a_configuration_must_be_in_the_package() -> None:
    package = Package(Path("x"), frozenset({"jobs/run.yaml"}), 0, "d")
    for config in ("jobs/run.yaml", "./jobs/../jobs/run.yaml", "/shared/run.yaml"):
        check_config(argparse.Namespace(config=Path(config)), package)
    check_config(argparse.Namespace(), package)
    for config in ("run.yaml", "../jobs/run.yaml"):
        with pytest.raises(ConfigError, match="not in the package"):
            check_config(argparse.Namespace(config=Path(config)), package)


def test_results_must_outlive_the_job() -> None:
    for root in (None, "s3://bucket/x", "/shared/x", "file:/shared/x"):
        check_root(root)
    with pytest.raises(ConfigError, match="goes with the job; use s3://bucket/prefix"):
        check_root("runs/x")


def test_dashboards(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    assert dashboard_address(None) == "http://127.0.0.1:8265"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert dashboard_address(None) == "http://127.0.0.1:8265", "an address for drivers says nothing of a dashboard"
    monkeypatch.setenv("RAY_ADDRESS", "http://there:1")
    assert dashboard_address(None) == "http://there:1"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "https://elsewhere/")
    assert dashboard_address(None) == "https://elsewhere" and dashboard_address("http://given:2") == "http://given:2"
    for wrong in ("127.0.0.1:8265", "ray://x:1", "http://user:word@host:1", "auto"):
        with pytest.raises(ConfigError, match="give the URL"):
            dashboard_address(wrong)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [("SUCCEEDED", 0, 0), ("FAILED", 3, 3), ("FAILED", -9, 137), ("FAILED", None, 1), ("STOPPED", None, 1)],
)
def test_exit_codes(status: str, code: int | None, expected: int) -> None:
    from ray.dashboard.modules.job.pydantic_models import JobDetails

    assert exit_code(JobDetails(type="SUBMISSION", status=status, entrypoint="x", driver_exit_code=code)) == expected


def test_a_log_that_is_read_again_from_its_beginning_is_written_once() -> None:
    written: list[str] = []
    log = _Log(written.append)
    for pieces in (["one\n", "two\n"], ["o", "ne\ntwo\nth", "ree\n"], [], ["one\ntwo\n"], ["one\ntwo\nthree\nfour\n"]):
        log.restart()
        for piece in pieces:
            log.add(piece)
    assert "".join(written) == "one\ntwo\nthree\nfour\n"
