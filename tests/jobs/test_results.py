"""What stands in a root, in a folder and in a bucket: listed, found, shown, compared, pruned, and on one page."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from end_to_end.small_results import GOOD, write_night, write_run
from object_stores.servers import BUCKET, CREDENTIALS, client, moto_server

from cluster.errors import EXIT_OK, EXIT_USAGE, ConfigError, DataError
from cluster.storage import Store, open_result_set, open_store, write_result_set
from jobs.catalogue import nights, result_sets
from jobs.cli import main
from jobs.prune import NOTE, plan_pruning, prune
from jobs.results import all_results, comparing, find, listing, showing
from jobs.trend import write_index

REPOSITORY = Path(__file__).parents[2]
TODAY = date(2026, 1, 8)
WORSE = GOOD | {"multi": 0.4}


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an S3 server."""
    with pytest.MonkeyPatch.context() as patch, moto_server() as url:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        patch.setenv("MIXLINGUAL_STORAGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield url


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _filled(str(tmp_path_factory.mktemp("results") / "root"))


@pytest.fixture(scope="module")
def bucket(moto: str) -> str:
    return _filled(f"s3://{BUCKET}/team/kept?endpoint={moto}")


def _filled(root: str) -> str:
    store = open_store(root)
    write_run(store, "old", {"hybrid": GOOD}, finished=datetime(2025, 12, 1, tzinfo=UTC), title="an old run")
    write_run(store, "new", {"hybrid": WORSE, "X-X": GOOD}, finished=datetime(2026, 1, 7, tzinfo=UTC))
    for day, revision, quality in ((1, "a", GOOD), (2, "b", GOOD), (5, "c", WORSE), (6, "d", WORSE)):
        write_night(store, date(2026, 1, day), write_run(store, revision, {"hybrid": quality}))
    write_index(store)
    with write_result_set(store, "studies/0123", {"stage": "study"}) as study:
        trials = [{"trial": 1, "evaluation": _evaluation(store, "nightly/2026-01-01")}, {"trial": 2}]
        (study / "trials.jsonl").write_text("\n".join(map(json.dumps, trials)))
    return root


def _evaluation(store: Store, name: str) -> str:
    arm = find(store, name).run.arm("hybrid")
    assert arm is not None
    return arm.evaluations["test"]


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest) -> Store:
    """Two runs and four nights, of which the third is worse; and a study."""
    return open_store(request.getfixturevalue(request.param))


@pytest.fixture
def copy(folder: str, tmp_path: Path) -> Store:
    """The same, to take things away from."""
    shutil.copytree(folder, tmp_path / "root")
    return open_store(tmp_path / "root")


def test_runs_and_nights_are_listed_with_their_best_arm(store: Store) -> None:
    found = all_results(store)
    assert [(one.run.title if one.night is None else one.name, str(one.day)) for one in found] == [
        ("an old run", "2025-12-01"),
        ("small", "2026-01-07"),
        *((f"nightly/2026-01-0{day}", f"2026-01-0{day}") for day in (1, 2, 5, 6)),
    ]
    lines = listing(found).splitlines()
    assert lines[0].split() == [
        "name",
        "date",
        "title",
        "verdict",
        "collection",
        "best",
        "arm",
        "mono",
        "cross",
        "multi",
        "rank",
        "dist.",
    ]
    new = next(line for line in lines if "2026-01-07" in line).split()
    assert new[5] == "X-X", "better than hybrid, which is worse in one setting"
    third = next(line for line in lines if line.startswith("nightly/2026-01-05")).split()
    assert third[3:6] == ["regression", "test", "hybrid"] and float(third[8]) == pytest.approx(0.4, abs=0.03)


def test_a_result_goes_by_many_names(store: Store) -> None:
    last = find(store, "last")
    assert last.name == "nightly/2026-01-06" and last == find(store, "2026-01-06") == find(store, last.name)
    run = all_results(store)[0].name
    assert find(store, run) == find(store, run.removeprefix("runs/")[:8])
    for name, said in (
        ("2026-01-03", "there is no night of 2026-01-03"),
        ("ab", "give a date, `last`, or at least 4 digits"),
        ("zzzz", "'zzzz' is no run or night"),
    ):
        with pytest.raises(ConfigError, match=said):
            find(store, name)


def test_a_night_is_shown_with_its_verdict_and_every_figure(store: Store) -> None:
    text = showing(store, find(store, "2026-01-05"))
    assert text.startswith(
        "Night of 2026-01-05: REGRESSION; 1 worse than on 2026-01-02, 0 better\n  hybrid on test, multi"
    )
    for row in ("hybrid  mono", "BM25    multi"):
        assert any(line.startswith(row) for line in text.splitlines()), row
    assert "rank distance: hybrid 49.7, BM25 49.7" in text and "revision: c" in text


def test_two_results_are_compared_setting_by_setting(store: Store) -> None:
    found = comparing(store, find(store, "2026-01-05"), find(store, "2026-01-01"), ["mAP", "rank_distance"])
    rows = {(one["arm"], one["setting"], one["measure"]): one for one in found["comparisons"]}
    assert len(rows) == 2 * (3 + 1)
    assert rows["hybrid", "multi", "mAP"]["difference"] == pytest.approx(-0.1, abs=0.01)
    assert rows["hybrid", "multi", "mAP"]["p_holm"] < 0.01
    assert rows["BM25", "multi", "mAP"]["p_holm"] == rows["hybrid", "bias", "rank_distance"]["p_holm"] == 1.0
    # The other way round everything is the other way round.
    turned = comparing(store, find(store, "2026-01-01"), find(store, "2026-01-05"), ["mAP"])["comparisons"]
    for one in turned:
        assert one["difference"] == pytest.approx(-rows[one["arm"], one["setting"], "mAP"]["difference"])
    with pytest.raises(ConfigError, match="--measure: unknown measure 'map'; known: mAP"):
        comparing(store, find(store, "last"), find(store, "last"), ["map"])


def test_results_that_share_nothing_say_so(copy: Store) -> None:
    other = write_run(copy, "x", {"hybrid": GOOD}, content="c1")
    with pytest.raises(DataError, match="share nothing to compare: hybrid on test: runs/.* searched another content"):
        comparing(copy, find(copy, "last"), find(copy, other.name), ["mAP"])


def kinds(names: tuple[str, ...]) -> dict[str, int]:
    parts = [name.partition("/")[0] for name in names]
    return {part: parts.count(part) for part in dict.fromkeys(parts)}


def test_a_plan_deletes_nothing(store: Store) -> None:
    before = result_sets(store)
    plan = plan_pruning(store, keep=2, newer_than_days=None, today=TODAY)
    assert plan.names and result_sets(store) == before
    assert kinds(plan.names)["nightly"] == 1 and "nightly/2026-01-01" in plan.names
    assert plan.kept_for == {"nightly/2026-01-02": "the newest night was compared with it"}


def test_what_is_kept_keeps_what_it_needs(copy: Store) -> None:
    study_needs = _evaluation(copy, "nightly/2026-01-01")
    encoder = find(copy, "nightly/2026-01-01").run.arms[0].encoder
    plan = prune(copy, keep=1, newer_than_days=None, today=TODAY)
    # Nights 1 and 5 and the old run go, with two evaluations each (one for the study's), an encoder and its vectors.
    assert kinds(plan.names) == {"nightly": 2, "runs": 3, "evaluations": 5, "vectors": 3, "encoders": 3}
    assert encoder in plan.names and study_needs not in plan.names
    for name in result_sets(copy):
        open_result_set(copy, name)
    for result in all_results(copy):
        for arm in result.run.arms:
            assert set(arm.evaluations.values()) <= set(result_sets(copy)) and (arm.encoder or "groups/") != ""
    assert [one.date.day for one in nights(copy)] == [2, 6]
    page = copy.read_bytes("index.html").decode()
    assert "2026-01-06" in page and "2026-01-05" not in page
    assert prune(copy, keep=1, newer_than_days=None, today=TODAY).names == ()


def test_limits_by_number_and_by_age_add_up(copy: Store) -> None:
    def going(keep: int | None, days: float | None) -> list[str]:
        names = plan_pruning(copy, keep, days, TODAY).names
        return [name for name in names if name.startswith("nightly/")] + [f"{kinds(names).get('runs', 0)} runs"]

    assert going(None, 4) == ["nightly/2026-01-01", "2 runs"], "the night of the 2nd is the newest one's baseline"
    assert going(None, 365) == ["0 runs"]
    assert going(4, 0) == ["0 runs"]
    assert going(0, None) == ["nightly/2026-01-01", "nightly/2026-01-05", "4 runs"]
    with pytest.raises(ConfigError, match="give --keep N, --newer-than DAYS or both"):
        plan_pruning(copy, None, None, TODAY)


def test_training_under_way_keeps_the_ground_it_stands_on(copy: Store, tmp_path: Path) -> None:
    """The only night goes on with another start and other groups; the old ones are still being trained on."""
    only = open_store(tmp_path / "only")
    run = write_run(only, "a", {"hybrid": GOOD})
    assert kinds(plan_pruning(only, 0, None, TODAY).names) == {
        "runs": 1, "evaluations": 2, "vectors": 1, "encoders": 2, "groups": 1,
    }  # fmt: skip
    with write_result_set(only, "training/77/checkpoints/step-00000002", {"checkpoint": 2}) as folder:
        (folder / "state.json").write_text("{}")
    names = plan_pruning(only, 0, None, TODAY).names
    assert kinds(names) == {"runs": 1, "evaluations": 2, "vectors": 1, "encoders": 1}
    assert names[0] == run.name, "results go before what they need"


def test_token_ids_go_with_what_they_are_of(tmp_path: Path) -> None:
    store = open_store(tmp_path / "root")
    runs = [write_run(store, revision, {"hybrid": GOOD}) for revision in ("a", "b")]
    arm = next(arm for arm in runs[0].arms if arm.encoder)
    groups = next(name for name in result_sets(store) if name.startswith("groups/"))
    for name, about in (
        ("tokens/of-groups", {"groups": groups}),
        ("tokens/of-a-collection", {"collection": "test"}),
        ("vectors/more-of-a", {"encoder": arm.encoder, "tokens": "tokens/of-a-collection"}),
    ):
        with write_result_set(store, name, {"stage": "tokens"} | about) as folder:
            (folder / "data").write_text(name)
    prune(store, 1, None, TODAY)  # both runs have the same date, so the one with the larger name stays
    kept = max(runs, key=lambda run: run.name)
    left = {name for name in result_sets(store) if name.startswith("tokens/")}
    assert left == {"tokens/of-groups"} | ({"tokens/of-a-collection"} if kept is runs[0] else set())
    with write_result_set(store, "training/7/checkpoints/step-00000002", {"checkpoint": 2}) as folder:
        (folder / "state.json").write_text("{}")
    assert not any(name.startswith("tokens/") for name in plan_pruning(store, 0, None, TODAY).names)
    store.delete("training/7")
    names = plan_pruning(store, 0, None, TODAY).names
    assert names.index("tokens/of-groups") < names.index(groups)
    assert left <= set(names)


def test_what_is_made_of_vectors_goes_with_them(tmp_path: Path) -> None:
    """Indexes, parts and texts of collections that were encoded by many processes; texts stay while others need them."""
    store = open_store(tmp_path / "store")
    kept, gone = (write_run(store, name, {"hybrid": quality}) for name, quality in (("a", GOOD), ("b", GOOD)))
    for run, texts in ((kept, ["texts/shared"]), (gone, ["texts/shared", "texts/own"])):
        vectors = f"vectors/spread-{run.arms[0].encoder.rpartition('/')[2]}"
        for name, about in (
            *((name, {}) for name in texts),
            (f"{vectors}-parts/7/passages-00000", {"encoder": run.arms[0].encoder}),
            (vectors, {"encoder": run.arms[0].encoder, "texts": texts, "parts": [f"{vectors}-parts/7/passages-00000"]}),
            (vectors.replace("vectors", "indexes") + "/empty", {"vectors": vectors}),
        ):
            with write_result_set(store, name, about) as folder:
                (folder / "data").write_text("", encoding="utf-8")
    store.delete(gone.name)
    with write_result_set(store, gone.name, {"record": gone.model_dump(mode="json") | {"finished": "2025-01-01T00:00:00Z"},
                                             "encoders": [gone.arms[0].encoder]}) as folder:  # fmt: skip
        (folder / "index.html").write_text("", encoding="utf-8")
    names = plan_pruning(store, keep=1, newer_than_days=None, today=TODAY).names
    key = gone.arms[0].encoder.rpartition("/")[2]
    assert [name for name in names if "spread" in name or "texts" in name] == [
        f"indexes/spread-{key}/empty",
        f"vectors/spread-{key}",
        f"vectors/spread-{key}-parts/7/passages-00000",
        "texts/own",
    ]


def test_a_prune_that_was_killed_is_finished_by_the_next(copy: Store) -> None:
    plan = plan_pruning(copy, 1, None, TODAY)
    copy.write_bytes(NOTE, json.dumps(plan.names).encode())
    for name in plan.names[:6]:  # results first: nothing leads to what is left of them any more
        copy.delete(name)
    left = list(plan.names[6:])
    assert left and list(prune(copy, 1, None, TODAY).names) == left
    assert not set(result_sets(copy)) & set(plan.names) and not copy.exists(NOTE)


def test_a_bucket_is_pruned_like_a_folder(moto: str) -> None:
    store = open_store(f"s3://{BUCKET}/other?endpoint={moto}")
    for day, revision in ((1, "a"), (2, "b"), (3, "c")):
        write_night(store, date(2026, 1, day), write_run(store, revision, {"hybrid": GOOD}))
    plan = prune(store, 1, None, TODAY)
    assert kinds(plan.names)["nightly"] == 1 and not any(store.exists(name) for name in plan.names)
    for name in result_sets(store):
        open_result_set(store, name)


def test_links_lead_to_the_objects_themselves_which_say_what_they_are(bucket: str, folder: str, moto: str) -> None:
    page = open_store(bucket).read_bytes("index.html").decode()
    links = {unquote(part.partition('"')[0]) for part in page.split('href="')[1:]} - {"data:,"}
    links = {link for link in links if not link.startswith("#")}
    assert len(links) == 4 * 2 and all("/upload-" in link for link in links)
    types = {
        client(moto).head_object(Bucket=BUCKET, Key=f"team/kept/{link}")["ContentType"]
        for link in (*links, "index.html")
    }
    assert types == {"text/html", "text/markdown"}
    page = (Path(folder) / "index.html").read_text(encoding="utf-8")
    assert 'href="nightly/2026-01-05/verdict.md"' in page and (Path(folder) / "nightly/2026-01-05/verdict.md").is_file()


def mixlingual(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobs.cli", *map(str, arguments)],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_commands(copy: Store, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str, code: int = EXIT_OK) -> Any:
        assert main(["results", *arguments, "--root", copy.uri]) == code
        captured = capsys.readouterr()
        return captured.out if code == EXIT_OK else captured.err

    assert len(json.loads(said("list", "--json"))["results"]) == 6
    assert json.loads(said("show", "last", "--json"))["night"]["outcome"] == "regression"
    assert "p (Holm)" in said("compare", "2026-01-05", "2026-01-01")
    assert "needs" not in said("prune", "--keep", "1") and nights(copy)[0].date.day == 1
    assert "nothing was deleted: add --yes to do it" in said("prune", "--keep", "1")
    assert "deleted nightly/2026-01-01" in said("prune", "--keep", "1", "--yes")
    assert nights(copy)[0].date.day == 2
    assert "there is no night of 2026-01-01" in said("show", "2026-01-01", code=EXIT_USAGE)
    assert "give --keep N" in said("prune", code=EXIT_USAGE)


def test_an_empty_root_holds_nothing(tmp_path: Path) -> None:
    done = mixlingual("results", "list", "--root", tmp_path / "none")
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_OK, "no runs and no nights\n", "")
    assert not (tmp_path / "none").exists()
    done = mixlingual("results", "show", "last", "--root", tmp_path / "none")
    assert done.returncode == EXIT_USAGE and "there is no night" in done.stderr
