"""Code that comes with a model is never run, whatever a configuration or a folder asks for."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz.encoders import write_encoder
from pydantic import BaseModel

from cluster.config import build_config
from cluster.errors import ConfigError
from cluster.specs.config import ClusterConfig
from jobs.ablation.study import StudyConfig
from jobs.config import RunConfig
from jobs.nightly.config import NightlyConfig
from retrieval.encoder.config import EncoderConfig
from retrieval.encoder.folder import load_encoder

ROOT = Path(__file__).parents[2]
CONFIGURATIONS = (RunConfig, StudyConfig, NightlyConfig, ClusterConfig)


def models(annotation: object, seen: set[type]) -> Iterator[type[BaseModel]]:
    """Every configuration class that can stand in a field."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        seen.add(annotation)
        yield annotation
        for field in annotation.model_fields.values():
            yield from models(field.annotation, seen)
    for argument in getattr(annotation, "__args__", ()):
        yield from models(argument, seen)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_no_configuration_has_a_field_for_it(configuration: type[BaseModel]) -> None:
    found = list(models(configuration, set()))
    assert len(found) > 5
    assert not [(one, name) for one in found for name in one.model_fields if "trust" in name or "remote" in name]
    # Nor a mapping that is handed on to a library unseen: each is by name of ours.
    open_mappings = {
        name for one in found for name, field in one.model_fields.items() if "kwargs" in name or "options" in name
    }
    assert open_mappings == set()


@pytest.mark.parametrize("fields", [{"trust_remote_code": True}, {"model_args": {"trust_remote_code": True}}])
def test_asking_for_it_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        build_config(EncoderConfig, {"name_or_path": "x", **fields})


def test_every_call_that_could_is_told_not_to() -> None:
    calls = 0
    for package in ("cluster", "retrieval", "trainer", "jobs"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("Auto"):
                    calls += 1
                    told = {word.arg: ast.unparse(word.value) for word in node.keywords}
                    assert told.get("trust_remote_code") == "False", f"{path}:{node.lineno}"
    assert calls >= 2


def plant(folder: Path, trace: Path, file: str, key: str, fields: dict[str, object]) -> None:
    """Code in a model's folder, and a file that names it as the hub does."""
    for name in ("evil.py", "modeling_evil.py", "tokenization_evil.py"):
        (folder / name).write_text(
            f"from pathlib import Path\nPath({str(trace)!r}).touch()\n"
            "class Evil:\n    def from_pretrained(*a, **k): raise SystemExit\n"
        )
    path = folder / file
    about = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(about | {key: fields} if fields else about))


@pytest.mark.parametrize(
    ("file", "name"),
    [("config.json", "AutoModel"), ("config.json", "AutoConfig"), ("tokenizer_config.json", "AutoTokenizer")],
)
@pytest.mark.parametrize("kind", ["known", "unknown"])
def test_code_in_a_folder_is_not_run(tmp_path: Path, file: str, name: str, kind: str) -> None:
    folder, trace = tmp_path / "e", tmp_path / "ran"
    write_encoder(folder)
    value: object = ["evil.Evil", "evil.Evil"] if name == "AutoTokenizer" else "evil.Evil"
    plant(folder, trace, file, "auto_map", {name: value})
    if kind == "unknown":
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "evil"}))
        with pytest.raises(ConfigError, match="no encoder could be read there"):
            load_encoder(folder)
    else:
        load_encoder(folder)
    assert not trace.exists()


def test_modules_of_other_libraries_are_not_imported(tmp_path: Path) -> None:
    folder, trace = tmp_path / "e", tmp_path / "ran"
    write_encoder(folder)
    plant(folder, trace, "unused.json", "", {})
    path = folder / "modules.json"
    listed = json.loads(path.read_text())
    listed[0]["type"] = "evil.Transformer"
    path.write_text(json.dumps(listed))
    load_encoder(folder)  # known by its last word, and made by us
    listed[0]["type"] = "evil.Evil"
    path.write_text(json.dumps(listed))
    with pytest.raises(ConfigError, match="lists Evil"):
        load_encoder(folder)
    assert not trace.exists()
