"""Between those who want trainings done and those who do them: one actor that hands out and waits.

A training goes from report to report. A report stands at each validation before the last step and at the end; after
one at a validation the training waits until whoever asked for it says whether it goes on.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["finished", "stopped", "failed"]


@dataclass
class Training:
    """One training, as the desk knows it."""

    task: Any
    """What the bench is given."""
    state: Literal["new", "waiting", "running", "over"] = "new"
    steps: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    """Newest figures of it."""
    reports: list[dict[str, Any]] = field(default_factory=list)
    taken: int = 0
    """Reports that were handed out."""
    verdicts: dict[int, bool] = field(default_factory=dict)
    """Step of a validation -> whether the training goes on."""
    leaving: bool = False
    attempts: int = 0
    asked_by: str = ""
    bench: int | None = None
    """Who does it now."""
    trouble: str = "its workers were lost"
    known_up_to: int = 0
    """Validations up to this step are not reported: whoever asks knows them from another training."""
    told: bool = False
    """Whether it was over before, and only its reports are wanted."""


class Desk:
    """An asyncio actor: everything but `close` and `state` may wait.

    Args:
        max_failures: how often a training is begun again whose workers were lost.
    """

    def __init__(self, max_failures: int) -> None:
        self._max_failures = max_failures
        self._trainings: dict[str, Training] = {}
        self._queue: deque[str] = deque()
        self._given: dict[int, list[str]] = defaultdict(list)
        """Number of a bench -> names of the trainings it was given."""
        self._ended: dict[int, int] = defaultdict(int)
        """Number of a bench -> how many of those have ended."""
        self._closed = False
        self._broken: str | None = None
        self._changed = asyncio.Condition()

    # For who wants a training done

    async def add(
        self,
        name: str,
        task: Any,
        known_up_to: int = 0,
        validations: Sequence[tuple[int, dict[str, Any]]] | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        """Make a training known; it begins with the first `advance`.

        Args:
            known_up_to: validations up to this step are not reported.
            validations: of one that is over, step and record of each, to be reported again.
            outcome: of one that is over.
        """
        one = self._trainings[name] = Training(task, known_up_to=known_up_to)
        if outcome is not None:
            one.state, one.told = "over", True
            one.reports = [{"step": step, "record": record} for step, record in validations or ()]
            last = one.reports.pop() if outcome == "finished" and one.reports else {"step": 0, "record": {}}
            one.reports.append(last | {"outcome": outcome})

    async def advance(self, name: str, by: str = "") -> dict[str, Any]:
        """Have a training begin, or go on, to its next report.

        Args:
            by: who asks; the last who did may `leave`.

        Returns:
            `step`, `record` (what was measured), and at the end `outcome`.
        """
        async with self._changed:
            one = self._trainings[name]
            one.asked_by = by
            if one.taken:
                one.verdicts.setdefault(one.reports[one.taken - 1]["step"], True)
            if self._broken is not None and len(one.reports) == one.taken:
                return {
                    "step": one.steps,
                    "record": {"error": "WorkError", "message": self._broken},
                    "outcome": "failed",
                }
            if one.state == "new" or (one.state == "over" and one.leaving):
                one.state, one.leaving, one.attempts = "waiting", False, 0
                self._queue.append(name)
            self._changed.notify_all()
            await self._changed.wait_for(lambda: len(one.reports) > one.taken)
            one.taken += 1
            return one.reports[one.taken - 1]

    async def leave(self, name: str, by: str = "") -> None:
        """Have a training end where it stands, unless another asks for it by now; returns when it has ended."""
        async with self._changed:
            one = self._trainings[name]
            if one.state in ("new", "over") or one.asked_by != by:
                return
            one.leaving = True
            if one.state == "waiting":
                self._queue.remove(name)
                one.state = "over"
            self._changed.notify_all()
            await self._changed.wait_for(lambda: one.state == "over" or self._closed)

    async def give_up(self, name: str) -> None:
        """Have a training end, whoever asks for it."""
        await self.leave(name, self._trainings[name].asked_by)

    # For a bench

    async def first_turn(self, bench: int) -> int:
        """Number of the task that a bench begins with: one that it was given before and lost its workers over."""
        return self._ended[bench]

    async def task(self, bench: int, turn: int) -> tuple[str, Any] | None:
        """The task of a turn, the same for all ranks of a bench, once the one before is over; None = no more."""
        async with self._changed:
            given = self._given[bench]
            # Rank 0 alone evaluates and publishes: the others must not wait for it in the middle of the next training.
            await self._changed.wait_for(lambda: self._ended[bench] >= turn)
            await self._changed.wait_for(lambda: len(given) > turn or bool(self._queue) or self._closed)
            if len(given) <= turn:
                if self._closed or not self._queue:
                    return None
                name = self._queue.popleft()
                one = self._trainings[name]
                one.state, one.bench = "running", bench
                given.append(name)
                self._changed.notify_all()
            return given[turn], self._trainings[given[turn]].task

    async def begin(self, name: str) -> bool:
        """Count an attempt; False where there were too many, and the training counts as failed."""
        one = self._trainings[name]
        one.attempts += 1
        if one.attempts <= 1 + self._max_failures:
            return True
        said = f"training {name} failed {one.attempts - 1} times: {one.trouble}"
        await self.end(name, "failed", {"error": "WorkError", "message": said})
        return False

    async def note(self, name: str, trouble: str) -> None:
        """Note an error after which the training is begun again."""
        self._trainings[name].trouble = trouble

    async def goes_on(self, name: str, step: int, record: Mapping[str, Any]) -> bool:
        """Report a validation and wait for the verdict; every rank asks, one report is made."""
        async with self._changed:
            one = self._trainings[name]
            if step <= one.known_up_to:
                return True
            if all(report["step"] < step for report in one.reports):
                one.reports.append({"step": step, "record": dict(record)})
                self._changed.notify_all()
            await self._changed.wait_for(lambda: step in one.verdicts or one.leaving or self._closed)
            return one.verdicts.get(step, False)

    async def update(self, name: str, steps: int, values: Mapping[str, Any]) -> None:
        """Note the steps done and the newest figures."""
        one = self._trainings[name]
        one.steps = max(one.steps, steps)
        one.values |= values

    async def end(self, name: str, outcome: Outcome, record: Mapping[str, Any]) -> None:
        """A training is over; one that left does not say so in a report, for it may come again."""
        async with self._changed:
            one = self._trainings[name]
            if one.state != "over":
                if one.bench is not None:
                    self._ended[one.bench] += 1
                one.state, one.bench = "over", None
                if not one.leaving:
                    one.reports.append({"step": one.steps, "record": dict(record), "outcome": outcome})
                self._changed.notify_all()

    # For who started it all

    async def state(self) -> dict[str, dict[str, Any]]:
        """Name of each training -> where it stands."""
        return {
            name: {
                "state": one.state,
                "step": one.steps,
                "values": one.values,
                "outcome": one.reports[-1].get("outcome") if one.reports else None,
                "told": one.told,
            }
            for name, one in self._trainings.items()
        }

    async def reports(self, name: str) -> list[tuple[int, dict[str, Any]]]:
        """Step and record of every report of a training that was handed out."""
        one = self._trainings[name]
        return [(report["step"], report["record"]) for report in one.reports[: one.taken]]

    async def failure(self, name: str) -> tuple[str, str]:
        """Type and message of the error that a training failed with; without one, whoever waited for it was lost."""
        reports = self._trainings[name].reports
        record = reports[-1]["record"] if reports and reports[-1].get("outcome") == "failed" else {}
        return record.get("error", "WorkError"), record.get("message", "the process that waited for it was lost")

    async def break_off(self, why: str) -> None:
        """Let no training go on: nobody is left to do it."""
        self._broken = why
        for name, one in self._trainings.items():
            if one.state in ("waiting", "running"):
                await self.end(name, "failed", {"error": "WorkError", "message": why})

    async def close(self) -> None:
        """Send every bench home; trainings under way end at their next validation."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()
