"""Imports run one way, and each heavy library has one door."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("cluster", "retrieval", "trainer", "jobs")
DOORS = {
    "boto3": ("cluster/storage/s3",),
    "faiss": ("retrieval/index/shard",),
    "deepspeed": ("trainer/engine",),
    "ray.tune": ("jobs/ablation",),
    "ray.train": ("trainer/",),
    # Models of texts, of images (other classes, other inputs, other files), and tokenizers.
    "transformers": ("retrieval/encoder/backbones", "retrieval/encoder/vision", "retrieval/encoder/tokens"),
    "PIL": ("retrieval/images", "retrieval/datasets/drawn_scenes"),
    "matplotlib": ("retrieval/report/",),
    "numba": ("retrieval/ranks",),
    "bm25s": ("retrieval/bm25",),
    "pickle": (),
    "cloudpickle": (),
}
LIGHT = (
    *("torch", "transformers", "ray", "numba", "matplotlib", "scipy", "deepspeed", "pyarrow", "faiss", "tokenizers"),
    *("pandas", "boto3", "botocore", "sentencepiece", "PIL", "babel"),
)
CHECK = "check --config jobs/configs/quickstart.yaml"


def modules() -> list[Path]:
    return sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def imports(path: Path, run_time_only: bool = False) -> Iterator[str]:
    """Dotted names that a module imports; those under `if TYPE_CHECKING:` cost nothing at run time."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if run_time_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(child for statement in node.body for child in ast.walk(statement))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_there_is_something_to_check() -> None:
    assert len(modules()) > 60


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_run_one_way(layer: str) -> None:
    later = set(LAYERS[LAYERS.index(layer) + 1 :])
    for path in (ROOT / layer).rglob("*.py"):
        wrong = sorted({name for name in imports(path) if name.split(".")[0] in later})
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong[0]}: {layer} comes before it"


@pytest.mark.parametrize("library", DOORS)
def test_each_heavy_library_has_one_door(library: str) -> None:
    for path in modules():
        name = path.relative_to(ROOT).as_posix()
        used = any(found == library or found.startswith(f"{library}.") for found in imports(path, run_time_only=True))
        assert not used or name.startswith(DOORS[library]), f"{name} uses {library}, whose door is {DOORS[library]}"


def test_nothing_unpickles() -> None:
    for path in modules():
        text = path.read_text(encoding="utf-8")
        for word in (
            "torch.load(",
            "allow_pickle=True",
            "trust_remote_code=True",
            "yaml.unsafe",
            "yaml.Loader",
            "joblib",
            "shelve",
        ):
            assert word not in text, f"{path}: {word}"


@pytest.mark.parametrize(
    ("call", "door"),
    [
        # Raises RecursionError, which no reader expects. Our own scratch files and what we just wrote are not a stranger's.
        ("json.loads(", ("cluster/documents", "retrieval/preparation/intake", "retrieval/encoder/tokens")),
        ("np.load(", ("retrieval/formats/arrays",)),
    ],
)
def test_files_of_strangers_have_one_door(call: str, door: tuple[str, ...]) -> None:
    for path in modules():
        name = path.relative_to(ROOT).as_posix()
        assert call not in path.read_text(encoding="utf-8") or name.startswith(door), (
            f"{name} calls {call}: use {door[0]}"
        )


def test_only_the_trainer_knows_ray_train_and_deepspeed() -> None:
    for path in (ROOT / "retrieval").rglob("*.py"):
        assert not any(name.startswith(("ray.train", "deepspeed")) for name in imports(path)), path


@pytest.mark.parametrize("statement", ["import jobs.cli", "import jobs.config", "import trainer.config"])
def test_commands_and_configurations_import_fast(statement: str) -> None:
    assert not loaded_by(statement) & set(LIGHT)


@pytest.mark.parametrize(
    ("command", "without"),
    [("--help", (*LIGHT, "numpy", "pydantic", "yaml")), ("ablate --help", LIGHT), (CHECK, LIGHT)],
)
def test_commands_that_only_look_start_fast(command: str, without: tuple[str, ...]) -> None:
    """What they load is most of the time they take: benchmarks/startup.py."""
    run = f"import contextlib, jobs.cli\nwith contextlib.suppress(SystemExit): jobs.cli.main({command.split()!r})"
    assert not loaded_by(run) & set(without)


def loaded_by(code: str) -> set[str]:
    """Packages that a fresh interpreter has loaded after some code."""
    code += "\nimport sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_tests_have_no_packages_and_unique_names() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


def test_modules_stay_readable() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    too_long = {path.relative_to(ROOT).as_posix(): length for path, length in lengths.items() if length > 400}
    assert not too_long
