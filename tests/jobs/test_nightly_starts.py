"""Before and after a night's work: its configuration, its date, its lease, its code's name, and who is told."""

import json
import logging
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from end_to_end.small_results import GOOD, nightly_config, write_night, write_run
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import EXIT_OK, EXIT_REGRESSION, ConfigError
from cluster.storage import Store, open_store, write_result_set
from cluster.storage.lease import acquire_lease
from jobs.nightly import night as night_module
from jobs.nightly import revision, webhook
from jobs.nightly.config import load_nightly
from jobs.nightly.night import run_night
from jobs.nightly.schedule import begin, finish, is_unfinished

CONFIGS = Path(__file__).parents[2] / "jobs" / "configs"
VARIABLE = "NIGHTLY_TEST_URL"


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "root")


# Configuration


def test_the_run_is_a_file_or_its_fields_and_overrides_reach_into_it(tmp_path: Path) -> None:
    shipped = load_nightly(CONFIGS / "nightly.yaml", ["run.training.steps=7", "thresholds.level=0.01"])
    assert (shipped.run.name, shipped.run.training.steps, shipped.thresholds.level) == ("atlas-quickstart", 7, 0.01)
    inline = tmp_path / "inline.yaml"
    run = yaml.safe_load((CONFIGS / "quickstart.yaml").read_text())
    inline.write_text(yaml.safe_dump({"run": run, "accepted": [date(2026, 1, 5)]}))
    assert load_nightly(inline).run == load_nightly(CONFIGS / "nightly.yaml").run
    assert load_nightly(inline).accepted == (date(2026, 1, 5),)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"runn": "x"}, "nightly.yaml: runn: unknown key; did you mean 'run'?"),
        ({"run": "none.yaml"}, "none.yaml: no such configuration file"),
        ({"time_zone": "Europe/Atlantis"}, "time_zone: is no time zone known here"),
        ({"thresholds": {"min_drop": {}}}, "thresholds.min_drop: names no measure"),
        ({"thresholds": {"min_drop": {"mAP": -1}}}, "thresholds.min_drop.mAP: "),
        ({"baseline": "yesterday"}, "baseline: "),
        ({"webhook_token": "x"}, "webhook_token: secrets do not belong"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    path = tmp_path / "nightly.yaml"
    path.write_text(yaml.safe_dump({"run": str(CONFIGS / "quickstart.yaml")} | fields))
    with pytest.raises(ConfigError) as raised:
        load_nightly(path)
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_a_url_in_the_wrong_place_is_not_repeated() -> None:
    with pytest.raises(ConfigError, match="the URL itself does not belong in a file") as raised:
        nightly_config(webhook_variable="https://hooks.example/T0/s3cr3t")
    assert "s3cr3t" not in str(raised.value)


# The date


def test_the_date_is_that_of_the_time_zone(store: Store) -> None:
    berlin, tokyo = nightly_config(time_zone="Europe/Berlin"), nightly_config(time_zone="Asia/Tokyo")
    assert begin(store, berlin, at("2026-03-01T22:59"), None)[0] == date(2026, 3, 1)
    finish(store, date(2026, 3, 1))
    assert begin(store, berlin, at("2026-03-01T23:01"), None)[0] == date(2026, 3, 2)
    finish(store, date(2026, 3, 2))
    assert begin(store, tokyo, at("2026-03-02T15:01"), None)[0] == date(2026, 3, 3)


def test_an_unfinished_night_is_gone_on_with_for_a_while(store: Store) -> None:
    config = nightly_config(resume_hours=6)
    first = begin(store, config, at("2026-03-01T23:50"), None)
    assert first == (date(2026, 3, 1), at("2026-03-01T23:50"))
    assert begin(store, config, at("2026-03-02T00:20"), None) == first
    assert begin(store, config, at("2026-03-02T05:50"), None) == first
    later = begin(store, config, at("2026-03-02T05:51"), None)
    assert later == (date(2026, 3, 2), at("2026-03-02T05:51"))
    assert not is_unfinished(store, date(2026, 3, 1)), "given up"


def test_a_date_asked_for_counts_whatever_the_time_is(store: Store) -> None:
    config = nightly_config()
    begin(store, config, at("2026-03-05T01:00"), None)
    assert begin(store, config, at("2026-03-05T02:00"), date(2026, 3, 1)) == (date(2026, 3, 1), at("2026-03-05T02:00"))
    assert is_unfinished(store, date(2026, 3, 1)) and is_unfinished(store, date(2026, 3, 5))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=8))
def test_whatever_is_killed_no_night_is_begun_twice_and_each_one_is_finished(starts: list[tuple[int, bool]]) -> None:
    """Starts some hours apart, each killed or not: a date is finished once, and never after a later one."""
    with tempfile.TemporaryDirectory() as folder:
        store, config = open_store(folder), nightly_config(resume_hours=20)
        moment, finished, begun_at = at("2026-03-01T01:00"), [], {}
        for hours, killed in starts:
            moment += timedelta(hours=hours)
            day, begun = begin(store, config, moment, None)
            assert begun_at.setdefault(day, begun) == begun or day in finished
            if not killed and day not in finished:
                with write_result_set(store, f"nightly/{day}", {}) as verdict:
                    (verdict / "verdict.json").write_text("{}")
                finished.append(day)
            if not killed:
                finish(store, day)
        assert finished == sorted(set(finished))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(-60, 60), st.booleans()), min_size=1, max_size=8))
def test_however_the_clock_jumps_no_night_is_done_twice(starts: list[tuple[int, bool]]) -> None:
    """Hours forward or back from start to start; each is killed or not."""
    with tempfile.TemporaryDirectory() as folder:
        store, config = open_store(folder), nightly_config(resume_hours=20)
        moment, finished = at("2026-03-01T01:00"), []
        for hours, killed in starts:
            moment += timedelta(hours=hours)
            day, _ = begin(store, config, moment, None)
            assert day not in finished or not is_unfinished(store, day), "begun anew"
            if not killed and day not in finished:
                with write_result_set(store, f"nightly/{day}", {}) as verdict:
                    (verdict / "verdict.json").write_text("{}")
                finished.append(day)
            if not killed:
                finish(store, day)
        assert len(set(finished)) == len(finished)


# What the code is


def test_the_revision_names_the_code_and_its_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("cluster", "jobs"):
        (tmp_path / package / "part").mkdir(parents=True)
        (tmp_path / package / "part" / "module.py").write_text("1")
    monkeypatch.setattr(revision, "_folders", lambda package: [p] if (p := tmp_path / package).exists() else [])
    names = [revision.code_revision()]
    (tmp_path / "jobs" / "part" / "notes.md").write_text("nothing that runs")
    assert revision.code_revision() == names[0]
    (tmp_path / "jobs" / "part" / "module.py").write_text("2")
    names.append(revision.code_revision())
    (tmp_path / "jobs" / "part" / "module.py").rename(tmp_path / "jobs" / "module.py")
    names.append(revision.code_revision())
    monkeypatch.setattr(revision, "_versions", lambda: {"torch": "99"})
    names.append(revision.code_revision())
    assert len(set(names)) == 4
    assert revision.commit() is None, "no checkout"
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    clean = revision.commit()
    assert clean is not None and len(clean) == 12
    (tmp_path / "jobs" / "module.py").write_text("3")
    assert revision.commit() == f"{clean}+"


# Who is told


class _Answers(BaseHTTPRequestHandler):
    codes: list[int] = []
    posted: list[Any] = []

    def do_POST(self) -> None:
        self.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.codes.pop(0) if self.codes else 200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Answers]]:
    """A server that answers with `codes`, then 200, and keeps what was `posted`."""
    handler = type("Handler", (_Answers,), {"codes": [], "posted": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{server.server_port}/T0/s3cr3t")
    monkeypatch.setattr(webhook, "_PAUSE_SECONDS", 0.0)
    yield handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    logger = logging.getLogger("mixlingual")
    before, logger.propagate = logger.propagate, True
    yield caplog
    logger.propagate = before


@pytest.mark.parametrize(
    ("codes", "posts", "delivered"), [([], 1, True), ([503, 429], 3, True), ([500] * 3, 3, False), ([404], 1, False)]
)
def test_a_webhook_is_tried_again_where_that_can_help(
    hook: type[_Answers], warnings: pytest.LogCaptureFixture, codes: list[int], posts: int, delivered: bool
) -> None:
    hook.codes[:] = codes
    assert webhook.post(VARIABLE, {"text": "Köln"}) is delivered
    assert hook.posted == [{"text": "Köln"}] * posts
    assert ("did not take the verdict (HTTP" in warnings.text) is not delivered and "s3cr3t" not in warnings.text


@pytest.mark.parametrize("url", ["", "s3cr3t", "file:///etc/s3cr3t", "http://127.0.0.1:1/s3cr3t", "http://[s3cr3t"])
def test_a_webhook_that_cannot_be_reached_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, warnings: pytest.LogCaptureFixture, url: str
) -> None:
    monkeypatch.setenv(VARIABLE, url)
    monkeypatch.setattr(webhook, "_PAUSE_SECONDS", 0.0)
    assert webhook.post(VARIABLE, {}) is False
    assert VARIABLE in warnings.text and "s3cr3t" not in warnings.text
    assert webhook.post(None, {}) is False


# Starts of a night whose run is done


def done_night(store: Store, outcome: str) -> Any:
    """A root where the night of 6 January stands, and was killed before anybody was told."""
    worse = GOOD | {"multi": 0.4}
    write_night(store, date(2026, 1, 5), write_run(store, "a", {"hybrid": GOOD}))
    night = write_night(
        store, date(2026, 1, 6), write_run(store, "b", {"hybrid": worse if outcome != "good" else GOOD})
    )
    store.write_bytes(".nightly/2026-01-06", json.dumps({"begun": "2026-01-06T01:00:00+00:00"}).encode())
    assert night.outcome == outcome
    return night


def test_a_regression_keeps_its_exit_code_until_it_is_accepted(store: Store, hook: type[_Answers]) -> None:
    night = done_night(store, "regression")
    options: dict[str, Any] = {"root": store.uri, "now": lambda: at("2026-01-06T03:00")}
    done = run_night(nightly_config(webhook_variable=VARIABLE), **options)
    assert (done.night, done.exit_code) == (night, EXIT_REGRESSION)
    (posted,) = hook.posted
    assert posted["outcome"] == "regression" and posted["findings"][0]["setting"] == "multi"
    assert "hybrid on test, multi mAP" in store.read_bytes("index.html").decode()
    assert run_night(nightly_config(webhook_variable=VARIABLE), **options).exit_code == EXIT_REGRESSION
    assert run_night(nightly_config(accepted=["2026-01-06"]), **options).exit_code == EXIT_OK
    assert len(hook.posted) == 1, "told once"


def test_a_start_beside_another_leaves_the_work_to_it(store: Store) -> None:
    done_night(store, "good")
    options: dict[str, Any] = {"root": store.uri, "now": lambda: at("2026-01-06T03:00")}
    other = acquire_lease(store, "nightly", seconds=2.0)
    try:
        done = run_night(nightly_config(lease_seconds=2), **options)
        assert done.night is None and done.exit_code == EXIT_OK
        assert done.note.startswith("another start is at it: lease nightly: held by ")
        assert is_unfinished(store, date(2026, 1, 6))
        threading.Timer(0.5, other.release).start()
        waited = run_night(nightly_config(lease_seconds=2), wait_seconds=30, **options)
        assert waited.night is not None and waited.night.date == date(2026, 1, 6)
    finally:
        other.release()


def test_a_lease_lost_without_a_successor_is_taken_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    done_night(store, "good")
    starts = []

    def begin_and_lose(*arguments: Any) -> Any:
        starts.append(arguments)
        if len(starts) == 1:  # somebody took it, and gave it back
            record = {"holder": "other:1:a", "seconds": 2.0, "beats": 0, "released": True}
            store.write_bytes(".leases/nightly/000000000002", json.dumps(record).encode())
        return begin(*arguments)

    monkeypatch.setattr(night_module, "begin", begin_and_lose)
    done = run_night(nightly_config(), store.uri, now=lambda: at("2026-01-06T03:00"))
    assert done.exit_code == EXIT_OK and len(starts) == 2
    assert store.exists("index.html") and not is_unfinished(store, date(2026, 1, 6))
