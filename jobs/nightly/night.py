"""One night: run, compare with the last good one, publish a verdict, tell. Once, however often it is started.

A lease lets one process work at a time. The date is decided and noted by the first start; every stage of the run is
found done if it is; the verdict is a result set that appears whole; and the note stays until the page over all nights
is written and the webhook is told. A process may be killed at any line: the next start does what is missing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from cluster.errors import EXIT_OK, EXIT_REGRESSION
from cluster.logs import get_logger
from cluster.storage import Store, open_store, write_result_set
from cluster.storage.lease import Lease, LeaseHeldError, LeaseLostError, acquire_lease
from jobs.catalogue import VERDICT, nights, read_night, read_run
from jobs.check import check, require_evaluation
from jobs.comparison import Compared, compare_runs
from jobs.nightly.config import NightlyConfig, check_nightly
from jobs.nightly.revision import code_revision, commit
from jobs.nightly.schedule import begin, finish, is_unfinished
from jobs.nightly.verdict import baseline_of, is_good, judge, outcome_of
from jobs.nightly.webhook import post
from jobs.nightly.words import headline, markdown
from jobs.records import NIGHTLY_LEASE, NIGHTS, Night, NotCompared, RunRecord, night_name

_logger = get_logger("nightly")


@dataclass(frozen=True)
class NightResult:
    """What a start came to."""

    night: Night | None
    """The night; None where another process is at work, and this one left it alone."""
    note: str
    """Where its verdict is, or who is at work."""
    exit_code: int


def utc_now() -> datetime:
    """The time, with its time zone."""
    return datetime.now(UTC)


def run_night(
    config: NightlyConfig,
    root: str | None = None,
    asked: date | None = None,
    wait_seconds: float = 0.0,
    now: Callable[[], datetime] = utc_now,
) -> NightResult:
    """Do what is left to do of a night, and give its verdict.

    Args:
        root: overrides the run's.
        asked: the night's date; without it, tonight or the night that is not over yet.
        wait_seconds: how long to wait for another process that is at work, instead of leaving it to it.
        now: the clock.

    Raises:
        ConfigError, DataError: something can be known to be wrong before anything is done, or is found wrong in data.
        WorkError: a stage failed, or another process took over; started again, the night goes on.
    """
    check(config.run, root)
    require_evaluation(config.run.data)
    check_nightly(config)
    store = open_store(root or config.run.root, config.run.storage)
    for last in (False, False, True):
        try:
            lease = acquire_lease(store, NIGHTLY_LEASE, config.lease_seconds, wait_seconds)
        except LeaseHeldError as error:
            return NightResult(None, f"another start is at it: {error}", EXIT_OK)
        try:
            return _under_lease(store, config, root, asked, lease, now)
        except LeaseLostError as error:
            # Perhaps only because this machine stood still: what was done is found done.
            if last:
                raise
            _logger.warning("%s; trying to go on under another one", error)
        finally:
            lease.release()
    raise AssertionError("the last attempt returns or raises")


def _under_lease(
    store: Store,
    config: NightlyConfig,
    root: str | None,
    asked: date | None,
    lease: Lease,
    now: Callable[[], datetime],
) -> NightResult:
    day, begun = begin(store, config, now(), asked)
    night = read_night(store, day) or _work(store, config, root, day, begun, lease, now)
    if is_unfinished(store, day):
        _make_known(store, config, night, lease)
    code = EXIT_OK if is_good(night, config.accepted) else EXIT_REGRESSION
    return NightResult(night, store.where(f"{night_name(day)}/verdict.md"), code)


def _work(
    store: Store,
    config: NightlyConfig,
    root: str | None,
    day: date,
    begun: datetime,
    lease: Lease,
    now: Callable[[], datetime],
) -> Night:
    """Run, compare and publish; a failure is told before it is raised."""
    try:
        baseline = baseline_of(day, nights(store), config.baseline, config.accepted)
        record = _run(store, config, root, day, baseline)
        night = judged(store, config, day, record, baseline, begun, now())
        publish(store, night, lease.check)
    except LeaseLostError:
        raise
    except Exception as error:
        text = f"Night of {day}: failed: {' '.join(str(error).split()) or type(error).__name__}"
        post(config.webhook_variable, {"text": text, "date": day.isoformat(), "outcome": "failed"})
        raise
    return night


def _run(store: Store, config: NightlyConfig, root: str | None, day: date, baseline: Night | None) -> RunRecord:
    from jobs.run import run

    revision = config.run.revision or code_revision()
    if config.repeat == "always":
        revision = f"{revision} on {day}"
    compared_with = f"the night of {baseline.date}" if baseline else "nothing"
    _logger.info("night of %s, revision %s, to be compared with %s", day, revision, compared_with)
    done = run(config.run.model_copy(update={"revision": revision}), root)
    return read_run(store, done.result_set.name)


def judged(
    store: Store,
    config: NightlyConfig,
    day: date,
    record: RunRecord,
    baseline: Night | None,
    begun: datetime,
    finished: datetime,
) -> Night:
    """The verdict on a night's run."""
    compared: list[Compared] = []
    left_out: list[NotCompared] = []
    if baseline is not None:
        names = ("tonight", str(baseline.date))
        measures = list(config.thresholds.min_drop)
        compared, left_out = compare_runs(store, record, baseline.run, measures, names, trained=True)
    findings = judge(compared, config.thresholds)
    return Night(
        date=day,
        outcome=outcome_of(findings),
        baseline=baseline.date if baseline else None,
        run=record,
        unchanged=baseline is not None and baseline.run.name == record.name,
        commit=commit(),
        started=begun,
        finished=finished,
        level=config.thresholds.level,
        history=config.history,
        findings=tuple(findings),
        not_compared=tuple(left_out),
    )


def publish(store: Store, night: Night, before_commit: Callable[[], None] | None = None) -> None:
    """Make a night visible, as `nightly/<date>`."""
    about = {"stage": NIGHTS, "date": night.date.isoformat(), "outcome": night.outcome, "run": night.run.name}
    with write_result_set(store, night_name(night.date), about, before_commit) as folder:
        (folder / VERDICT).write_text(night.model_dump_json(indent=1), encoding="utf-8")
        (folder / "verdict.md").write_text(markdown(night), encoding="utf-8")


def _make_known(store: Store, config: NightlyConfig, night: Night, lease: Lease) -> None:
    """Everything after the verdict stands; what was done before a kill is done again, which does no harm."""
    from jobs.trend import write_index

    lease.check()
    write_index(store)
    payload = {"text": headline(night), "where": store.where(night_name(night.date))}
    post(config.webhook_variable, payload | night.model_dump(mode="json", exclude={"run": {"arms"}}))
    finish(store, night.date)
