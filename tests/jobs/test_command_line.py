"""The command line as users meet it: real processes; every mistake is one line on stderr, exit code 2, and no output."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from end_to_end.small_job import write_job

from cluster.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from jobs.cli import main

ROOT = Path(__file__).parents[2]
# Nothing listens there: whatever would start Ray fails with a message of its own.
NO_RAY = {"RAY_ADDRESS": "127.0.0.1:1"}
RAY_WOULD_SAY = "ray.address: cannot use Ray at 127.0.0.1:1"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration of a small run, beside its data."""
    return write_job(tmp_path_factory.mktemp("job"))


def mixlingual(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobs.cli", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | NO_RAY | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def complaint(done: subprocess.CompletedProcess[str], code: int = EXIT_USAGE) -> str:
    """The one line on stderr of a command that ended with an error."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("mixlingual: "), done.stderr
    return lines[0].removeprefix("mixlingual: ")


def files_below(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: command; see mixlingual --help"),
        (["frobnicate"], "invalid choice: 'frobnicate' (choose from 'run', 'check', 'prepare'"),
        (["run"], "the following arguments are required: --config; see mixlingual run --help"),
        (["run", "--config"], "argument --config: expected one argument"),
        (["run", "--config", "x.yaml", "--frobnicate"], "unknown option --frobnicate"),
        (["check", "--config", "none.yaml"], "none.yaml: no such configuration file"),
        (["check", "--config", "docs"], "docs: cannot be read as UTF-8 text"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str) -> None:
    assert said in complaint(mixlingual(*arguments))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: &a x\nroot: *a\n", "run.yaml: line 2: YAML aliases (*a) are refused; write the value out"),
        ("name: x\n\troot: y\n", "run.yaml: line 2 not valid YAML: found character '\\t' that cannot start any token"),
        ("name: x\nname: y\n", "run.yaml: line 2: key 'name' stands twice; keep one"),
        ("name: x\nencoder: {hf_token: abc}\n", "run.yaml: encoder.hf_token: secrets do not belong"),
        ("", "run.yaml: is empty"),
    ],
)
def test_configuration_files_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "run.yaml").write_text(text)
    assert said in complaint(mixlingual("run", "--config", tmp_path / "run.yaml", "--root", tmp_path / "root"))
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["training.stepz=3"], "run.yaml: training.stepz: unknown key; did you mean 'steps'?"),
        (["data.train.0.wide.en.querry=x"], "data.train.0.wide.en.querry: unknown key; did you mean 'query'?"),
        (["arms.hybrid.mono=0.6"], "the shares of a mix must add up to 1, these add up to 1.1: mono=0.6, cross=0.5"),
        (["training.workers=3"], "mixing.batch: 16 is not divisible by 3 workers (training.workers); use 15 or 18"),
        (["data.train.0.languages=[en]"], "arm hybrid: mixing.mix: all but mono batches need groups in two"),
        (["data.train.0.languages=[en, de]", "data.languages=[fr]"], "data.languages: no data set of data.train has"),
        (["data.train.0.path=none.jsonl"], "none.jsonl: no such file"),
        (["data.train=[]"], "data.train: empty; name at least one data set to train on"),
        (["data.train.3.path=x"], "override 'data.train.3.path=x': '3' is not an item of a list of 1; use 0 to 0"),
        (["training.steps"], "override 'training.steps': expected field.name=value"),
        (["encoder.api_key=sesame"], "encoder.api_key: secrets do not belong in a configuration; set an environment"),
        (["training.validation.measure=multi.map"], "training.validation.measure: unknown measure 'map'"),
        (["data.evaluation={}"], "data.evaluation: empty; name at least one data set"),
    ],
)
def test_mistakes_end_a_run_before_any_work(job: Path, tmp_path: Path, overrides: list[str], said: str) -> None:
    root = tmp_path / "root"
    line = complaint(mixlingual("run", "--config", job, "--root", root, *overrides))
    assert said in line and "sesame" not in line
    assert not root.exists()


def test_roots_that_cannot_be_used(job: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for root, said in (
        (tmp_path / "file", "file is a file; use a folder"),
        (tmp_path / "file" / "below", "file is a file; use a folder"),
        ("s3x://bucket", "root 's3x://bucket': unknown scheme 's3x:'"),
    ):
        assert said in complaint(mixlingual("prepare", "--config", job, "--root", root))
    assert (tmp_path / "file").read_text() == "mine"


def as_parquet(job: Path, to: Path) -> bytes:
    rows = [json.loads(line) for line in job.with_name("train.jsonl").read_text(encoding="utf-8").splitlines()]
    pq.write_table(pa.Table.from_pylist(rows), to, row_group_size=16)
    return to.read_bytes()


def truncated(job: Path, path: Path) -> str:
    path.write_bytes(as_parquet(job, path)[:-700])
    return f"path={path}"


def empty(job: Path, path: Path) -> str:
    path.write_bytes(b"")
    return f"path={path}"


def without_rows(job: Path, path: Path) -> str:
    as_parquet(job, path)
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    return f"path={path}"


def without_a_column(job: Path, path: Path) -> str:
    as_parquet(job, path)
    pq.write_table(pq.read_table(path).drop_columns(["q_de"]), path)
    return f"path={path}"


def empty_lines(job: Path, path: Path) -> str:
    lines = path.with_suffix(".jsonl")
    lines.write_text("\n")
    return f"path={lines}"


def cut_line(job: Path, path: Path) -> str:
    lines = path.with_suffix(".jsonl")
    lines.write_bytes(job.with_name("train.jsonl").read_bytes()[:-40])
    return f"path={lines}"


def with_an_evaluation_id(job: Path, path: Path) -> str:
    lines = path.with_suffix(".jsonl")
    judged = job.with_name("test.jsonl").read_text(encoding="utf-8").splitlines()[7]
    lines.write_text(job.with_name("train.jsonl").read_text(encoding="utf-8") + "\n" + judged, encoding="utf-8")
    return f"path={lines}"


def without_a_language(job: Path, path: Path) -> str:
    return "languages=[en, xx]"


@pytest.mark.parametrize(
    ("damage", "names", "said"),
    [
        (truncated, "train.parquet", "not a whole Parquet file"),
        (empty, "train.parquet", "not a whole Parquet file (Parquet file size is 0 bytes)"),
        (without_rows, "train.parquet", "rows"),
        (without_a_column, "train.parquet", "q_de"),
        (empty_lines, "train.jsonl", "empty"),
        (cut_line, "train.jsonl", "cut short"),
        (with_an_evaluation_id, "train/test-7", "id of a query of evaluation set test"),
        (without_a_language, "train.jsonl", "has no language 'xx'; it has de, en, es, id"),
    ],
)
def test_data_that_cannot_be_used_end_a_run_before_ray(
    job: Path, tmp_path: Path, damage: Callable[[Path, Path], str], names: str, said: str
) -> None:
    root = tmp_path / "root"
    override = f"data.train.0.{damage(job, tmp_path / 'train.parquet')}"
    line = complaint(mixlingual("run", "--config", job, "--root", root, override))
    assert names in line and said in line and RAY_WOULD_SAY not in line
    assert files_below(root) == []


def test_ray_would_have_been_started_otherwise(job: Path, tmp_path: Path) -> None:
    """The runs above end before Ray: this one, with nothing wrong, is the first to say that Ray is not there."""
    done = mixlingual("run", "--config", job, "--root", tmp_path, "arms={X-X: {mono: 1}}")
    assert done.returncode == EXIT_USAGE and done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith(f"mixlingual: {RAY_WOULD_SAY}")
    assert "Traceback" not in done.stderr


def test_a_writer_without_room_says_so_in_one_line(job: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / ".staging").write_text("a file where a folder belongs")
    assert f"File exists: '{root}/.staging'" in complaint(
        mixlingual("prepare", "--config", job, "--root", root), EXIT_FAILED
    )


def test_prepare_prints_what_there_is_now(job: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    done = mixlingual("prepare", "mixing.batch=8", "--config", job, "--root", root, "--json", "data.min_groups=9")
    assert done.returncode == EXIT_OK, done.stderr
    result = json.loads(done.stdout)
    (folder,) = map(Path, result["folders"])
    assert folder == root / result["result_sets"][0] and (folder / "groups.json").is_file()
    assert "text" not in result
    again = mixlingual("prepare", "--config", job, "--root", root, "data.min_groups=9")
    counts = ["train train: 120 groups in 4 languages", *(f"  {code}  120 groups" for code in ("de", "en", "es", "id"))]
    assert again.stdout.splitlines()[:6] == [str(folder), *counts]
    assert again.stdout.splitlines()[6:8] == [
        "validation validation: 80 queries, 80 passages in 4 languages",
        "  de  20 queries, 20 passages",
    ]
    assert [(one["role"], one["name"]) for one in result["data_sets"]] == [
        ("train", "train"), ("validation", "validation"), ("evaluation", "test"),
    ]  # fmt: skip
    assert result["data_sets"][2]["languages"]["en"] == {"queries": 30, "passages": 30}
    assert "already prepared" in again.stderr


def test_stages_that_need_another_say_which(job: Path, tmp_path: Path) -> None:
    arguments = ["--config", job, "--root", tmp_path / "root"]
    for command, extra, said in (
        ("train", ["--arm", "none"], "--arm: there is no 'none'; there are X-X, hybrid"),
        ("encode", ["--on", "none"], "--on: there is no 'none'; there are test"),
        ("encode", ["--arm", "BM25"], "--arm: there is no 'BM25'; there are X-X, hybrid, untrained"),
        ("evaluate", ["data.evaluation={}"], "data.evaluation: empty"),
    ):
        assert said in complaint(mixlingual(command, *arguments, *extra))
    assert not (tmp_path / "root").exists()
    done = mixlingual("report", *arguments)
    assert done.returncode == EXIT_USAGE and done.stdout == ""
    assert done.stderr.splitlines()[-1].endswith("arm X-X is not trained; train it first with this configuration")
    assert not list((tmp_path / "root").glob("runs/*"))


def test_check_tells_what_it_saw(job: Path) -> None:
    done = mixlingual("check", "--config", job, "--json", "training.steps=7")
    assert done.returncode == EXIT_OK and done.stderr == ""
    result = json.loads(done.stdout)
    assert result["valid"] is True and "batch 16 over 1 worker(s), 7 steps" in result["checked"]
    assert mixlingual("check", "--config", job, "training.steps=7").stdout.splitlines() == result["checked"]


def test_secrets_of_the_environment_are_masked(job: Path) -> None:
    done = mixlingual(
        "check", "--config", job, "data.train.0.path=/s3cr3t-value-0123/x.jsonl", HF_TOKEN="s3cr3t-value-0123"
    )
    assert complaint(done).startswith("/***/x.jsonl: no such file")


def test_a_reader_that_stops_reading_is_no_trouble(job: Path) -> None:
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "jobs.cli", "check", "--config", str(job)]
    for _ in range(3):
        with subprocess.Popen(
            command, cwd=ROOT, env=buffered, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout and process.stderr
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == EXIT_FAILED


def test_help_is_there_for_every_command() -> None:
    assert "exit codes: 0 done, 1 the work failed, 2 bad usage" in mixlingual("--help").stdout
    for command in ("run", "check", "prepare", "train", "encode", "evaluate", "report"):
        done = mixlingual(command, "--help")
        assert done.returncode == EXIT_OK and "--config FILE" in done.stdout


def test_stdout_is_left_to_results(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray prints warnings of its processes there (`print_to_stdstream` of ray/_private/worker.py)."""

    def handler(options: argparse.Namespace) -> dict[str, Any]:
        print("(raylet) WARNING")
        return {"text": "done", "value": 1}

    options = argparse.Namespace(handler=handler, verbose=False, json=True)
    monkeypatch.setattr("jobs.cli.parse", lambda arguments: options)
    assert main(["anything"]) == EXIT_OK
    written = capsys.readouterr()
    assert written.out == '{"value": 1}\n' and "(raylet) WARNING\n" in written.err
