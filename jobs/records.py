"""What is kept about runs and nights for those who come later: small, plain, and enough to list and to compare."""

import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from retrieval.report.results import Estimate

NIGHTS = "nightly"
RUNS = "runs"
NIGHTLY_LEASE = "nightly"
"""Held by whoever works on a night or takes results away."""
VERSION = 1
Outcome = Literal["first", "good", "regression"]
"""first: there was nothing to compare with. It counts as good."""


class Record(BaseModel):
    """Base of what is read back: fields that a later version adds are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ArmRecord(Record):
    """One retriever of a run."""

    name: str
    role: Literal["trained", "baseline"]
    encoder: str | None = None
    """Result set of its encoder; None where there is none (BM25)."""
    evaluations: dict[str, str]
    """Collection -> result set of the evaluation."""
    figures: dict[str, dict[str, dict[str, Estimate]]]
    """Collection -> setting ("bias" for rank distance) -> measure -> mean with its 95 % interval."""


class RunRecord(Record):
    """A finished run."""

    name: str
    """Its result set, `runs/<fingerprint>`; empty while that is being written."""
    title: str
    finished: datetime.datetime | None = None
    revision: str = ""
    collections: dict[str, str]
    """Name -> fingerprint of what it holds: only results on the same content compare."""
    arms: tuple[ArmRecord, ...]

    def arm(self, name: str) -> ArmRecord | None:
        """An arm by its name."""
        return next((arm for arm in self.arms if arm.name == name), None)


class Finding(Record):
    """One macro mean of tonight against that of the night it is compared with."""

    arm: str
    collection: str
    setting: str
    measure: str
    tonight: float
    before: float
    difference: float
    """Tonight minus before."""
    low: float
    high: float
    """Bootstrap interval (95 %) of the difference."""
    p_value: float
    p_holm: float
    """Corrected for all tests of the night."""
    num_ids: int
    """Query ids: the sample size that counts."""
    min_drop: float
    """What a change had to exceed to count."""
    outcome: Literal["regression", "improvement", "same"]


class NotCompared(Record):
    """What could not be compared, and why."""

    arm: str
    collection: str
    reason: str


class Night(Record):
    """A night that is over, as `nightly/<date>/verdict.json` holds it."""

    version: int = VERSION
    date: datetime.date
    outcome: Outcome
    baseline: datetime.date | None
    """The night it was compared with."""
    run: RunRecord
    unchanged: bool
    """Whether the run is the very one of the baseline: nothing had changed that decides results."""
    commit: str | None
    """Of the checkout the code came from, where there is one."""
    started: datetime.datetime
    finished: datetime.datetime
    level: float
    """Significance level of the tests."""
    history: int
    """Nights that the page over all nights shows."""
    findings: tuple[Finding, ...]
    """Regressions first, then improvements, then the rest."""
    not_compared: tuple[NotCompared, ...]

    def having(self, outcome: str) -> list[Finding]:
        """The findings of one outcome."""
        return [finding for finding in self.findings if finding.outcome == outcome]


def night_name(day: datetime.date) -> str:
    """Result set of a night."""
    return f"{NIGHTS}/{day.isoformat()}"
