"""The studies we ship: whole, documented, and each with a small variant that runs on the shared data."""

from pathlib import Path

import pytest

from cluster.config import build_config, load_config, to_plain
from cluster.errors import DataError
from jobs.ablation.check import check_study
from jobs.ablation.study import StudyConfig
from jobs.check import check
from jobs.config import RunConfig

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "jobs" / "configs" / "studies"
PAGES = ROOT / "docs" / "studies"
SHARED = ROOT.parent / "shared" / "data"
SMALL = sorted((STUDIES / "smoke").glob("*.yaml"))
EMBEDDED = {"atlas", "drawn_scenes"}
"""Data sets that need no files: a study on them alone is its own small variant."""
OF_MIXES = {"atlas-alpha": 11 * 3, "atlas-simplex": 15 * 2, "squad-parallel-mixes": 7 * 3 * 2}
"""Studies for `mixlingual ablate`, and how many trials they have."""


def datasets(config: RunConfig) -> list[str]:
    data = config.data
    used = [*data.train, *([data.validation] if data.validation else []), *data.evaluation.values()]
    return [str(getattr(dataset, "dataset", "")) for dataset in used]


def full_studies() -> list[Path]:
    paths = [path for path in sorted(STUDIES.glob("*.yaml")) if path.stem not in OF_MIXES]
    return [path for path in paths if not EMBEDDED.issuperset(datasets(load_config(RunConfig, path)))]


FULL = full_studies()


@pytest.mark.parametrize(
    "name", [name if "atlas" in name else pytest.param(name, marks=pytest.mark.shared_data) for name in OF_MIXES]
)
def test_studies_of_mixes_have_their_trials(name: str, tmp_path: Path) -> None:
    study = load_config(StudyConfig, STUDIES / f"{name}.yaml")
    assert study.name == study.run.name == name
    if "atlas" not in name and not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    assert check_study(study, str(tmp_path))[0] == f"study {name}: valid, {OF_MIXES[name]} trials"


def name_of(path: Path) -> str:
    return path.stem


def test_every_research_question_has_its_study() -> None:
    questions = {"m2m100", "xm3600", "mtop", "mkqa", "flickr30k-x", "xquad-r", "mlqa-r", "miracl"}
    assert questions <= {path.stem for path in FULL}
    assert {path.stem for path in SMALL} == {path.stem for path in FULL}


@pytest.mark.parametrize("path", FULL, ids=name_of)
def test_every_study_has_a_page_and_a_small_variant_of_the_same_kinds_of_arms(path: Path) -> None:
    study, small = (load_config(RunConfig, file) for file in (path, STUDIES / "smoke" / path.name))
    assert (study.name, small.name) == (path.stem, f"{path.stem}-smoke")
    assert small.arms.items() <= study.arms.items()
    assert {"X-X", "X-Y", "hybrid"} <= small.arms.keys()
    assert study.encoder.name_or_path and small.encoder.fresh
    page = (PAGES / f"{path.stem}.md").read_text(encoding="utf-8")
    for file in (f"jobs/configs/studies/{path.name}", f"jobs/configs/studies/smoke/{path.name}"):
        assert f"mixlingual run --config {file} --root" in page
    assert f"[{path.stem}]({path.stem}.md)" in (PAGES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FULL, ids=name_of)
def test_all_of_a_study_but_its_data_can_be_checked_without_them(path: Path, tmp_path: Path) -> None:
    config = load_config(RunConfig, path)
    with pytest.raises(DataError, match=r"data/\w+") as missing:
        check(config, str(tmp_path))
    assert "\n" not in str(missing.value)
    atlas = {"dataset": "atlas", "split": "test"}
    embedded = {"train": [{**atlas, "split": "train"}], "validation": atlas, "evaluation": {"atlas": atlas}}
    check(build_config(RunConfig, {**to_plain(config), "data": embedded}), str(tmp_path))


@pytest.mark.parametrize("path", FULL, ids=name_of)
def test_nothing_is_trained_on_that_a_study_is_judged_by(path: Path) -> None:
    for file in (path, STUDIES / "smoke" / path.name):
        data = load_config(RunConfig, file).data
        assert not {*data.train} & {*data.evaluation.values(), data.validation}
        assert not {"xquad_r", "mlqa_r", "miracl", "xm3600", "xflickrco"} & {
            str(getattr(dataset, "dataset", "")) for dataset in (*data.train, data.validation)
        }


@pytest.mark.shared_data
@pytest.mark.parametrize("path", SMALL, ids=name_of)
def test_small_variants_find_their_data(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    monkeypatch.chdir(ROOT)
    lines = check(load_config(RunConfig, path), str(tmp_path))
    assert lines[0] == f"configuration {path.stem}-smoke: valid"
    assert not any(tmp_path.iterdir())
