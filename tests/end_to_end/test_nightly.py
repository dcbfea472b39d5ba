"""Three nights on a fake clock over a real store: the second killed and started twice at once, the third a regression."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from end_to_end.small_job import job_fields

from cluster.errors import EXIT_OK, EXIT_REGRESSION
from cluster.ray_runtime import RayConfig, ray_cluster
from cluster.storage import open_result_set, open_store
from jobs.catalogue import nights, read_night, result_sets
from jobs.cli import main
from jobs.nightly.config import NightlyConfig, load_nightly
from jobs.nightly.night import NightResult, run_night
from jobs.nightly.schedule import is_unfinished

pytestmark = [pytest.mark.ray, pytest.mark.distributed, pytest.mark.slow]
HERE = Path(__file__).parent
LEASE_SECONDS = 20
FIRST, SECOND, THIRD, FOURTH = date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 5), date(2026, 1, 6)
WEBHOOK = "NIGHTLY_TEST_URL"
BROKEN = "run.training.engine.learning_rate=3.0"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A Ray cluster for this process and those it starts."""
    with ray_cluster(RayConfig(), cpus_needed=6):
        import ray  # not before: it reads the environment once

        yield ray.get_runtime_context().gcs_address


@pytest.fixture(scope="module")
def told() -> Iterator[list[dict[str, Any]]]:
    """What was posted to the webhook."""
    posted: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WEBHOOK, f"http://127.0.0.1:{server.server_port}/hook")
        yield posted
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nightly")
    run = job_fields(folder)
    run["data"] |= {"validation": None}
    run["arms"] = {"hybrid": {"mono": 0.5, "cross": 0.5}}
    run["training"] |= {"steps": 8, "validation": {"every": 0}, "checkpoint": {"every": 2}}
    (folder / "run.yaml").write_text(yaml.safe_dump(run, allow_unicode=True), encoding="utf-8")
    fields = {
        "run": "run.yaml",
        "time_zone": "Europe/Berlin",
        "thresholds": {"min_drop": {"mAP": 0.02}},
        "webhook_variable": WEBHOOK,
        "lease_seconds": LEASE_SECONDS,
    }
    (folder / "nightly.yaml").write_text(yaml.safe_dump(fields), encoding="utf-8")
    return folder / "nightly.yaml"


@pytest.fixture(scope="module")
def root(config_file: Path) -> Path:
    return config_file.parent / "root"


def start(config_file: Path, address: str | None, now: str, *overrides: str) -> "subprocess.Popen[str]":
    """A start in a process group of its own, on a cluster that is there or on one that it starts itself."""
    command = [sys.executable, str(HERE / "nightly_process.py"), str(config_file), now, *overrides]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | ({"RAY_ADDRESS": address} if address else {})
    return subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def here(config_file: Path, now: str, *overrides: str) -> NightResult:
    """A start in this process."""
    config: NightlyConfig = load_nightly(config_file, overrides)
    return run_night(config, now=lambda: datetime.fromisoformat(now))


def trained(root: Path) -> int:
    """Encoders that came from training."""
    store = open_store(root)
    return sum(
        open_result_set(store, name, verify=False).about.get("stage") == "train"
        for name in result_sets(store, "encoders")
    )


@pytest.fixture(scope="module")
def first(address: str, config_file: Path, root: Path, told: list[dict[str, Any]]) -> NightResult:
    return here(config_file, "2026-01-01T02:00:00+00:00", "run.revision=a")


def test_the_first_night_has_nothing_to_compare_with(
    first: NightResult, root: Path, told: list[dict[str, Any]]
) -> None:
    assert first.exit_code == EXIT_OK and first.night is not None
    assert (first.night.date, first.night.outcome, first.night.baseline) == (FIRST, "first", None)
    assert first.note == str(root / "nightly/2026-01-01/verdict.md")
    assert told[-1]["outcome"] == "first" and told[-1]["text"].startswith("Night of 2026-01-01: the first")
    assert not is_unfinished(open_store(root), FIRST)
    assert "2026-01-01" in (root / "index.html").read_text(encoding="utf-8")


def test_the_same_night_again_gives_its_verdict_and_does_nothing(
    first: NightResult, config_file: Path, root: Path, told: list[dict[str, Any]]
) -> None:
    before = len(told), trained(root)
    again = here(config_file, "2026-01-01T09:00:00+00:00", "run.revision=never-run")
    assert again.night == first.night and again.exit_code == EXIT_OK
    assert (len(told), trained(root)) == before


def test_what_comes_after_the_verdict_is_made_up_for(
    first: NightResult, config_file: Path, root: Path, told: list[dict[str, Any]]
) -> None:
    """A process killed just after the verdict stood left its note; page and webhook were still to come."""
    store, before = open_store(root), len(told)
    store.write_bytes(f".nightly/{FIRST}", json.dumps({"begun": "2026-01-01T02:00:00+00:00"}).encode())
    store.delete("index.html")
    assert here(config_file, "2026-01-01T21:30:00+00:00").night == first.night
    assert len(told) == before + 1 and store.exists("index.html") and not is_unfinished(store, FIRST)


@pytest.fixture(scope="module")
def second(first: NightResult, address: str, config_file: Path, root: Path) -> list[tuple[int, dict[str, Any], str]]:
    """Exit code, output and log of two starts at once, after one that was killed in the middle of its training."""
    # 23:50 in Berlin. A cluster of its own: Ray's workers outlive the process that is killed, some for seconds.
    late = start(config_file, None, "2026-01-02T22:50:00+00:00", "run.revision=b")
    try:
        while not list(root.glob("training/*/checkpoints/*/COMMIT")):
            if late.poll() is not None:
                pytest.fail(f"ended before its first checkpoint: {late.communicate()[1]}")
            time.sleep(0.01)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(late.pid, signal.SIGKILL)
    late.communicate()
    assert late.returncode == -signal.SIGKILL
    assert read_night(open_store(root), SECOND) is None and is_unfinished(open_store(root), SECOND)
    both = [start(config_file, address, "2026-01-02T23:20:00+00:00", "run.revision=b") for _ in "AB"]  # 00:20
    done = []
    for process in both:
        output, log = process.communicate(timeout=500)
        assert process.returncode == EXIT_OK, log
        done.append((process.returncode, json.loads(output), log))
    return done


def test_of_two_starts_one_goes_on_with_the_night_that_was_killed(
    second: list[tuple[int, dict[str, Any], str]], root: Path, told: list[dict[str, Any]]
) -> None:
    (worker, other) = sorted(second, key=lambda one: one[1]["date"] is None)
    assert worker[1]["date"] == str(SECOND), "begun before midnight, over after it"
    assert "already prepared" in worker[2], "goes on where the other was"
    assert "another start is at it: lease nightly: held by" in other[1]["note"]
    assert "trained" not in other[2]
    assert [night.date for night in nights(open_store(root))] == [FIRST, SECOND]
    night = read_night(open_store(root), SECOND)
    assert night is not None and night.outcome == "good" and night.baseline == FIRST and not night.unchanged
    # The same seed and data under another revision: trained anew, interrupted, and yet the same to the last digits.
    assert len(night.findings) == 3 and {round(finding.difference, 6) for finding in night.findings} == {0.0}
    assert trained(root) == 2 and not list(root.glob("training/*"))
    assert sum(one["date"] == str(SECOND) for one in told) == 1


@pytest.fixture(scope="module")
def third(second: object, config_file: Path) -> NightResult:
    return here(config_file, "2026-01-05T02:00:00+00:00", "run.revision=c", BROKEN)


def test_a_planted_regression_is_found_and_named(third: NightResult, root: Path, told: list[dict[str, Any]]) -> None:
    assert third.exit_code == EXIT_REGRESSION and third.night is not None
    assert (third.night.date, third.night.outcome, third.night.baseline) == (THIRD, "regression", SECOND)
    worse = third.night.having("regression")
    assert "mono" in {finding.setting for finding in worse}
    for finding in worse:
        assert (finding.arm, finding.collection, finding.measure) == ("hybrid", "test", "mAP")
        assert finding.p_holm < 0.05 and finding.before - finding.tonight > 0.02 and finding.high < 0
    verdict = Path(third.note).read_text(encoding="utf-8")
    assert "REGRESSION" in verdict and "| hybrid | test | mono | mAP |" in verdict
    assert told[-1]["outcome"] == "regression" and "worse than on 2026-01-02" in told[-1]["text"]
    page = (root / "index.html").read_text(encoding="utf-8")
    assert "▼" in page and "hybrid on test, mono mAP" in page


def test_a_regressed_night_is_not_what_the_next_is_compared_with(third: NightResult, config_file: Path) -> None:
    fourth = here(config_file, "2026-01-06T02:00:00+00:00", "run.revision=b")
    assert fourth.exit_code == EXIT_OK and fourth.night is not None
    assert (fourth.night.outcome, fourth.night.baseline, fourth.night.unchanged) == ("good", SECOND, True)


def mixlingual(*arguments: object) -> tuple[int, str]:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = main([str(argument) for argument in arguments])
    return code, output.getvalue()


def test_the_command_line_sees_them_all(third: NightResult, config_file: Path, root: Path) -> None:
    code, output = mixlingual("nightly", "--config", config_file, "--date", THIRD, "--json")
    assert code == EXIT_REGRESSION and json.loads(output)["outcome"] == "regression"
    code, output = mixlingual("results", "list", "--root", root)
    assert code == EXIT_OK and [line.split()[0] for line in output.splitlines()[2:]] == [
        "nightly/2026-01-01", "nightly/2026-01-02", "nightly/2026-01-05", "nightly/2026-01-06",
    ]  # fmt: skip
    code, output = mixlingual("results", "compare", THIRD, SECOND, "--root", root, "--json")
    assert code == EXIT_OK and third.night is not None
    found = {(one["arm"], one["setting"]): one["difference"] for one in json.loads(output)["comparisons"]}
    assert found.keys() == {(arm, s) for arm in ("hybrid", "BM25", "untrained") for s in ("mono", "cross", "multi")}
    for finding in third.night.findings:
        assert found["hybrid", finding.setting] == pytest.approx(finding.difference)


def test_pruned_nights_take_with_them_what_only_they_needed(third: NightResult, config_file: Path, root: Path) -> None:
    code, output = mixlingual("results", "prune", "--root", root, "--keep", 1, "--yes", "--json")
    assert code == EXIT_OK
    gone = json.loads(output)["result_sets"]
    assert [name for name in gone if name.startswith("nightly/")] == ["nightly/2026-01-01", "nightly/2026-01-05"]
    store = open_store(root)
    assert not any(store.exists(name) for name in gone)
    for name in result_sets(store):
        open_result_set(store, name)
    assert trained(root) == 1
    before = set(result_sets(store))
    assert here(config_file, "2026-01-07T02:00:00+00:00", "run.revision=b").exit_code == EXIT_OK
    assert set(result_sets(store)) == before | {"nightly/2026-01-07"}, "nothing was missing that the run needs"
