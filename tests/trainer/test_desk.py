"""The desk between who wants trainings done and who does them: reports in order, verdicts, nobody waits in vain."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from trainer.desk import Desk


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 20))


async def bench(desk: Desk, number: int, steps: int, every: int, done: list[str]) -> None:
    """Trains as a bench does, on two ranks that ask alike."""
    turn = await desk.first_turn(number)
    while (given := await desk.task(number, turn)) is not None:
        name, _ = given
        assert await desk.task(number, turn) == given  # the other rank
        turn += 1
        assert await desk.begin(name)
        outcome = "finished"
        for step in range(every, steps, every):
            await desk.update(name, step, {"loss": 1.0})
            asked = [desk.goes_on(name, step, {"value": step}) for _ in range(2)]
            goes = await asyncio.gather(*asked)
            assert goes[0] == goes[1]
            if not goes[0]:
                outcome = "stopped"
                break
        await desk.end(name, outcome, {"value": steps})
        done.append(f"{name} {outcome}")


def test_reports_come_in_order_and_a_training_waits_for_its_verdict() -> None:
    async def story() -> None:
        desk, done = Desk(max_failures=0), list[str]()
        for name in "abc":
            await desk.add(name, name.upper())
        at_work = [asyncio.create_task(bench(desk, number, 6, 2, done)) for number in range(2)]

        async def follow(name: str, stop_at: int | None = None) -> list[tuple[int, str | None]]:
            seen = []
            while True:
                report = await desk.advance(name)
                seen.append((report["step"], report.get("outcome")))
                if report.get("outcome"):
                    return seen
                assert report["record"] == {"value": report["step"]}
                if report["step"] == stop_at:
                    await desk.leave(name)
                    return seen

        seen = await asyncio.gather(follow("a"), follow("b", stop_at=2), follow("c"))
        assert seen == [[(2, None), (4, None), (4, "finished")], [(2, None)], [(2, None), (4, None), (4, "finished")]]
        assert sorted(done) == ["a finished", "b stopped", "c finished"]
        state = await desk.state()
        assert {name: one["state"] for name, one in state.items()} == dict.fromkeys("abc", "over")
        await desk.close()
        await asyncio.gather(*at_work)

    run(story())


def test_a_training_that_left_goes_on_without_reporting_twice() -> None:
    async def story() -> None:
        desk, done = Desk(max_failures=0), list[str]()
        await desk.add("a", None)
        at_work = asyncio.create_task(bench(desk, 0, 6, 2, done))
        assert (await desk.advance("a"))["step"] == 2
        await desk.leave("a")
        # It reports step 2 again, from its checkpoint; nobody hears of it.
        assert (await desk.advance("a"))["step"] == 4
        assert (await desk.advance("a"))["outcome"] == "finished"
        assert done == ["a stopped", "a finished"]
        await desk.close()
        await at_work

    run(story())


def test_a_bench_that_lost_its_workers_gets_its_task_again_and_gives_up_in_the_end() -> None:
    async def story() -> None:
        desk = Desk(max_failures=1)
        await desk.add("a", "A")
        report = asyncio.create_task(desk.advance("a"))
        for _ in range(2):
            turn = await desk.first_turn(0)
            assert turn == 0 and await desk.task(0, turn) == ("a", "A")
            assert await desk.begin("a")
            await desk.note("a", "OSError: no space")
        assert await desk.task(0, await desk.first_turn(0)) == ("a", "A")
        assert not await desk.begin("a")
        assert (await report)["outcome"] == "failed"
        assert await desk.failure("a") == ("WorkError", "training a failed 2 times: OSError: no space")
        assert await desk.first_turn(0) == 1
        await desk.close()
        assert await desk.task(0, 1) is None

    run(story())


def test_what_was_over_before_is_told_again_without_a_bench() -> None:
    async def story() -> None:
        desk = Desk(max_failures=0)
        validations = [(2, {"value": 1}), (4, {"value": 2}), (6, {"value": 3})]
        await desk.add("a", None, 0, validations, "finished")
        await desk.add("b", None, 0, validations[:1], "stopped")
        told = [await desk.advance("a") for _ in range(3)]
        assert [(one["step"], one["record"]["value"], one.get("outcome")) for one in told] == [
            (2, 1, None), (4, 2, None), (6, 3, "finished"),
        ]  # fmt: skip
        assert [(await desk.advance("b")).get("outcome") for _ in range(2)] == [None, "stopped"]
        await desk.leave("a")

    run(story())


def test_closing_ends_trainings_at_their_next_validation() -> None:
    async def story() -> None:
        desk, done = Desk(max_failures=0), list[str]()
        await desk.add("a", None)
        at_work = asyncio.create_task(bench(desk, 0, 6, 2, done))
        await desk.advance("a")
        await desk.close()
        await at_work
        assert done == ["a stopped"]

    run(story())


def test_only_who_asked_last_may_leave() -> None:
    """Tune makes an actor for a trial, gives the trial to another that is free first, and ends the one it made."""

    async def story() -> None:
        desk, done = Desk(max_failures=0), list[str]()
        await desk.add("a", None)
        at_work = asyncio.create_task(bench(desk, 0, 6, 2, done))
        await desk.leave("a", by="made for it")
        assert (await desk.advance("a", by="free"))["step"] == 2
        await desk.leave("a", by="made for it")
        assert (await desk.advance("a", by="free"))["step"] == 4
        await desk.give_up("a")
        assert done == ["a stopped"]
        await desk.close()
        await at_work

    run(story())
