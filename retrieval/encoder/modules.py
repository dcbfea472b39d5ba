"""The files by which sentence-transformers knows what follows the transformer: modules.json and what it names.

Read from any folder in that form, LaBSE's for one (transformer, cls pooling, dense with tanh, normalize); written for
every encoder we save, in the form that all versions since 2.0 read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cluster.documents import parse_json
from cluster.errors import ConfigError
from retrieval.encoder.config import EncoderConfig, PoolingName
from retrieval.encoder.dual import ACTIVATIONS, TANH, Dense

MODULES_FILE = "modules.json"
TRANSFORMER_FILE = "sentence_bert_config.json"
PROMPTS_FILE = "config_sentence_transformers.json"
_WEIGHTS_FILE = "model.safetensors"
_VECTOR = "sentence_embedding"
"""What sentence-transformers calls a text's vector on its way through the modules."""
_POOLING_KEYS: dict[PoolingName, str] = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "last": "pooling_mode_lasttoken",
}
_POOLING_NAMES: dict[str, PoolingName] = {
    "cls": "cls",
    "cls_token": "cls",
    "mean": "mean",
    "mean_tokens": "mean",
    "lasttoken": "last",
}


@dataclass(frozen=True)
class Modules:
    """What a folder says about itself."""

    transformer: Path
    """Folder of the transformer and its tokenizer."""

    pooling: PoolingName | None = None
    """None where the folder does not say."""

    dense: tuple[Dense, ...] = ()
    """Layers after pooling, with their weights."""


def read_modules(folder: Path) -> Modules:
    """What follows the transformer of a folder; nothing, for a plain transformers folder.

    Raises:
        ConfigError: the folder has modules, or an order of them, that we do not have.
    """
    if not (folder / MODULES_FILE).is_file():
        return Modules(transformer=folder)
    listed = [(module["type"].rsplit(".", 1)[-1], _inside(folder, module["path"])) for module in _listed(folder)]
    kinds = [kind for kind, _ in listed]
    middle = kinds[2:-1] if kinds[-1:] == ["Normalize"] else kinds[2:]
    if kinds[:2] != ["Transformer", "Pooling"] or any(kind != "Dense" for kind in middle):
        raise ConfigError(
            f"{folder / MODULES_FILE}: lists {', '.join(kinds) or 'nothing'}; "
            f"what can be loaded is Transformer, Pooling, any number of Dense, Normalize"
        )
    transformer = listed[0][1]
    if (transformer / TRANSFORMER_FILE).is_file() and _read_fields(transformer / TRANSFORMER_FILE).get("do_lower_case"):
        raise ConfigError(
            f"{transformer / TRANSFORMER_FILE}: do_lower_case is not supported; only what the tokenizer does"
        )
    return Modules(
        transformer=transformer,
        pooling=_read_pooling(listed[1][1] / "config.json"),
        dense=tuple(_read_dense(path) for kind, path in listed[2:] if kind == "Dense"),
    )


def _listed(folder: Path) -> list[dict[str, Any]]:
    listed = _read(folder / MODULES_FILE)
    if not isinstance(listed, list) or not all(
        isinstance(one, dict) and all(isinstance(one.get(key), str) for key in ("type", "path")) for one in listed
    ):
        raise ConfigError(f"{folder / MODULES_FILE}: is not a list of modules, each with its type and path")
    return listed


def _inside(folder: Path, path: str) -> Path:
    """A module's folder, which must lie within the model's."""
    if Path(path).is_absolute() or ".." in Path(path).parts or "\0" in path:
        raise ConfigError(f"{folder / MODULES_FILE}: path {path} leads out of the folder")
    return folder / path


def write_modules(
    folder: Path,
    config: EncoderConfig,
    pooling: PoolingName,
    width: int,
    dense: Sequence[tuple[Dense, Mapping[str, torch.Tensor]]],
    model_options: Mapping[str, Any],
) -> None:
    """Write modules.json and all it names, beside the transformer and the tokenizer.

    Args:
        folder: the encoder's folder.
        config: for prompts and maximum lengths.
        pooling: how token states become one vector.
        width: of the token states.
        dense: each layer after pooling with its `weight` and, where it has one, `bias`.
        model_options: how the transformer is to be built, such as without its pooler.
    """
    names = ["Transformer", "Pooling", *["Dense"] * len(dense), "Normalize"]
    paths = ["", *(f"{number}_{name}" for number, name in enumerate(names) if number)]
    listed = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{name}"}
        for number, (name, path) in enumerate(zip(names, paths, strict=True))
    ]
    _write(folder / MODULES_FILE, listed)
    _write(folder / TRANSFORMER_FILE, _transformer_fields(config, model_options))
    _write(folder / PROMPTS_FILE, _prompt_fields(config))
    for path in paths[1:]:
        (folder / path).mkdir(exist_ok=True)
    modes = {key: name == pooling for name, key in _POOLING_KEYS.items()}
    _write(folder / paths[1] / "config.json", {"word_embedding_dimension": width, **modes, "include_prompt": True})
    # Said although it is the default: stores of objects have no empty folders.
    _write(folder / paths[-1] / "config.json", {"module_input_name": _VECTOR, "module_output_name": _VECTOR})
    for path, (layer, weights) in zip(paths[2:-1], dense, strict=True):
        _write_dense(folder / path, layer, weights)


def _transformer_fields(config: EncoderConfig, model_options: Mapping[str, Any]) -> dict[str, Any]:
    lengths = {"query_length": config.max_query_tokens, "document_length": config.max_passage_tokens}
    longest = max(lengths.values())
    fields: dict[str, Any] = {"max_seq_length": longest, "do_lower_case": False}
    if len(set(lengths.values())) > 1:
        fields |= lengths  # heeded by encode_query and encode_document from version 6 on
    return fields | ({"model_args": dict(model_options)} if model_options else {})


def _prompt_fields(config: EncoderConfig) -> dict[str, Any]:
    # encode_document looks for "document"; MTEB and most configurations say "passage".
    prompts = {"query": config.query_prefix, "document": config.passage_prefix, "passage": config.passage_prefix}
    return {
        "model_type": "SentenceTransformer",
        "prompts": prompts,
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
    }


def _read_pooling(path: Path) -> PoolingName:
    fields = _read_fields(path)
    named = fields.get("pooling_mode")
    if named is None:  # before version 5.4 each mode was a switch of its own
        modes = {
            key.removeprefix("pooling_mode_") for key, on in fields.items() if key.startswith("pooling_mode_") and on
        }
    else:
        modes = set(map(str, named if isinstance(named, list) else [named]))
    if len(modes) != 1 or not modes <= _POOLING_NAMES.keys() or not fields.get("include_prompt", True):
        found = ", ".join(sorted(modes)) + ("" if fields.get("include_prompt", True) else " without the prompt")
        raise ConfigError(f"{path}: pooling by {found or 'nothing'} is not supported; one of cls, mean, lasttoken is")
    return _POOLING_NAMES[modes.pop()]


def _read_dense(folder: Path) -> Dense:
    fields = _read_fields(folder / "config.json")
    activation = str(fields.get("activation_function", TANH))
    if activation not in ACTIVATIONS:
        raise ConfigError(f"{folder}: activation {activation} is not supported; these are: {', '.join(ACTIVATIONS)}")
    if fields.get("use_residual") or fields.get("module_input_name", _VECTOR) != _VECTOR:
        raise ConfigError(
            f"{folder}: a dense layer with a residual or on something else than the vector is not supported"
        )
    path = folder / _WEIGHTS_FILE
    try:
        weights = {name.removeprefix("linear."): tensor.float() for name, tensor in load_file(path).items()}
        width, dimension, bias = fields["in_features"], fields["out_features"], fields.get("bias", True)
        # Before the layer is made: the numbers may be such that no memory would do.
        if tuple(weights["weight"].shape) != (dimension, width) or type(bias) is not bool:
            raise ValueError(
                f"config.json says {width} x {dimension}, the weights are {tuple(weights['weight'].shape)}"
            )
        layer = Dense(width, dimension, bias, activation)
        layer.load_state_dict(weights)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: missing; weights are read from safetensors only: convert them once as docs/encoders.md shows"
        ) from None
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError, OSError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{folder}: no dense layer could be read there ({reason})") from error
    return layer


def _write_dense(folder: Path, layer: Dense, weights: Mapping[str, torch.Tensor]) -> None:
    fields = {
        "in_features": layer.in_features,
        "out_features": layer.out_features,
        "bias": layer.bias is not None,
        "activation_function": layer.activation_name,
    }
    _write(folder / "config.json", fields)
    tensors = {f"linear.{name}": tensor.detach().float().cpu().contiguous() for name, tensor in weights.items()}
    save_file(tensors, folder / _WEIGHTS_FILE, metadata={"format": "pt"})


def _read(path: Path) -> Any:
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error})") from None


def _read_fields(path: Path) -> dict[str, Any]:
    fields = _read(path)
    if not isinstance(fields, dict):
        raise ConfigError(f"{path}: holds no object {{...}}; fetch or save the encoder again")
    return fields


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
