"""An encoder <-> its folder.

The folder is one that sentence-transformers loads as it is, plus `mixlingual.json` with our configuration:

    config.json, model.safetensors       the transformer
    tokenizer.json, ...                  the tokenizer
    modules.json, 1_Pooling, 2_Dense     what follows the transformer
    sentence_bert_config.json            maximum lengths
    config_sentence_transformers.json    prefixes
    mixlingual.json                      the encoder's configuration
    image/                               the tower for images, where there is one (vision.py)
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch

from cluster.config import build_config, to_plain
from cluster.documents import parse_json
from cluster.errors import ConfigError
from retrieval.encoder.backbones import find_folder, load_backbone, save_backbone, takes_pooler_option
from retrieval.encoder.config import EncoderConfig
from retrieval.encoder.dual import IDENTITY, Dense, DualEncoder
from retrieval.encoder.fresh import build_fresh, drawn_with
from retrieval.encoder.modules import Modules, read_modules, write_modules
from retrieval.encoder.tokens import Tokens, load_tokens
from retrieval.encoder.vision import IMAGE_FOLDER, build_image_tower, load_image_tower, save_image_tower

ABOUT_FILE = "mixlingual.json"
FORMAT_VERSION = 1
PROJECTION_SEED = 0
"""Of a new projection on existing weights; a fresh encoder's comes from its own seed."""


def build_encoder(config: EncoderConfig, texts: Iterable[str] | None = None) -> tuple[DualEncoder, Tokens]:
    """The encoder that a configuration describes, in float32 and evaluation mode.

    Args:
        config: existing weights, or a fresh encoder.
        texts: for a fresh encoder, the texts to train its tokenizer on (`fresh.sample_texts` gives a balanced sample).

    Raises:
        ConfigError, DataError: one line on what cannot be used.
    """
    if config.name_or_path is not None:
        return load_encoder(config.name_or_path, config)
    if texts is None:
        raise ConfigError("fresh: a fresh encoder needs texts to train its tokenizer on; none were given")
    encoder, tokens = build_fresh(config, texts)
    encoder.image = build_image_tower(config, encoder.dimension)
    return encoder, tokens


def load_encoder(folder_or_name: str | Path, config: EncoderConfig | None = None) -> tuple[DualEncoder, Tokens]:
    """The encoder in a folder or on the hub, in float32 and evaluation mode.

    Args:
        folder_or_name: a folder that we saved, one of sentence-transformers or of transformers, or a hub name.
        config: how to read texts and pool. None = as the folder was saved; for folders that are not ours the defaults.

    Raises:
        ConfigError: one line on what is wrong with the folder or does not go with it.
    """
    name = str(folder_or_name)
    # A revision belongs to the name it was given with, not to an encoder trained from there.
    revision = config.revision if config and config.name_or_path == name else None
    folder = find_folder(name, revision)
    as_saved = config is None
    if config is None:
        config = saved_config(folder) or EncoderConfig(name_or_path=name)
    modules = read_modules(folder)
    backbone, width = load_backbone(modules.transformer, config)
    tokens = load_tokens(modules.transformer, config)
    _check_pair(folder, backbone, tokens)
    dense = _with_projection(modules, width, config)
    if dense and dense[0].in_features != width:
        raise ConfigError(
            f"{folder}: its dense layer takes {dense[0].in_features} numbers, the transformer gives {width}"
        )
    config = config.model_copy(update={"pooling": config.pooling or modules.pooling})
    encoder = DualEncoder(backbone, width, dense, config).eval()
    if as_saved and config.image is not None:
        encoder.image = load_image_tower(folder / IMAGE_FOLDER, config, encoder.dimension)
    else:
        encoder.image = build_image_tower(config, encoder.dimension)
    return encoder, tokens


def load_encoder_tokens(folder: Path) -> Tokens:
    """The tokenizer of an encoder that we saved, without its weights.

    Raises:
        ConfigError: the folder is not one of ours, or holds no tokenizer that we can run.
    """
    config = saved_config(folder)
    if config is None:
        raise ConfigError(f"{folder}: has no {ABOUT_FILE}; it is not an encoder that mixlingual saved")
    return load_tokens(read_modules(folder).transformer, config)


def save_encoder(
    folder: Path, encoder: DualEncoder, tokens: Tokens, state: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Write the encoder's folder. Not atomic: write into the staging folder of a result set.

    Args:
        folder: made if it is not there; files of the same names are replaced.
        encoder: the encoder, in any type; float32 is written.
        tokens: its tokenizer.
        state: the weights under the names of `encoder.state_dict()`, for when they are gathered elsewhere, as under
            ZeRO-3. None = the encoder's own.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = encoder.state_dict() if state is None else state
    missing = encoder.state_dict().keys() - state.keys()
    assert not missing, f"the state given lacks {sorted(missing)[:3]}"
    save_backbone(encoder.backbone, folder, _below("backbone.", state))
    for name, content in tokens.files.items():
        (folder / name).write_bytes(content)
    layers = [(cast(Dense, layer), _below(f"dense.{number}.", state)) for number, layer in enumerate(encoder.dense)]
    options = {"add_pooling_layer": False} if takes_pooler_option(type(encoder.backbone)) else {}
    config = encoder.config.model_copy(update={"pooling": encoder.pooling})
    write_modules(folder, config, encoder.pooling, encoder.width, layers, options)
    if encoder.image is not None:
        save_image_tower(folder / IMAGE_FOLDER, encoder.image, _below("image.", state))
    about = {"format_version": FORMAT_VERSION, "encoder": to_plain(config)}
    (folder / ABOUT_FILE).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _below(prefix: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def saved_config(folder: Path) -> EncoderConfig | None:
    """The configuration in an encoder's folder; None where the folder is not one of ours.

    Raises:
        ConfigError: it cannot be read, or is another version's.
    """
    path = folder / ABOUT_FILE
    if not path.is_file():
        return None
    try:
        about = parse_json(path.read_text(encoding="utf-8"))
        version, fields = about["format_version"], dict(about["encoder"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not readable as an encoder's description ({error!r})") from None
    if version != FORMAT_VERSION:
        raise ConfigError(f"{path}: format version {version}; this version of mixlingual reads {FORMAT_VERSION}")
    return build_config(EncoderConfig, fields, where=str(path))


def _with_projection(modules: Modules, width: int, config: EncoderConfig) -> list[Dense]:
    """The folder's dense layers, ending in the projection asked for: the folder's own if it is one, else a new one."""
    dense = list(modules.dense)
    if config.projection is None:
        return dense
    if dense and _is_projection(dense[-1], config.projection):
        return dense
    below = dense[-1].out_features if dense else width
    with drawn_with(PROJECTION_SEED):
        return [*dense, Dense(below, config.projection, bias=False, activation=IDENTITY)]


def _is_projection(layer: Dense, dimension: int) -> bool:
    return layer.bias is None and layer.activation_name == IDENTITY and layer.out_features == dimension


def _check_pair(folder: Path, backbone: Any, tokens: Tokens) -> None:
    """Refuse a tokenizer that cannot belong to the transformer beside it."""
    rows = backbone.get_input_embeddings().num_embeddings
    if tokens.vocabulary_size > rows:
        raise ConfigError(
            f"{folder}: the tokenizer's ids go up to {tokens.vocabulary_size - 1}, but the transformer knows {rows} "
            f"tokens; they are from different models"
        )
    if backbone.config.model_type == "m2m_100" and not tokens.marks_languages:
        raise ConfigError(f"{folder}: of the m2m_100 models only those with M2M100's own tokenizer are supported")
