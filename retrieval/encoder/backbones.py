"""Folder or hub name in, transformer out. With vision.py, the only module that opens models of transformers.

Model classes come from transformers itself, never from a model's repository, and weights from safetensors only.
"""

import contextlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from cluster.documents import parse_json
from cluster.errors import ConfigError
from retrieval.encoder.config import EncoderConfig, FreshConfig

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.txt"]
_HUB_SKIPPED = ["onnx/*", "openvino/*", "original/*", "flax/*"]
_WEIGHTS_NAME = re.compile(r"[\w-][\w.-]*\.safetensors")
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_HINTS = {
    "trust_remote_code": "code from a model's repository is never run",
    "scaled_dot_product_attention": "set attention: eager",
}
"""What to say, by a sign in the library's message."""

_MIN_POSITIONS = 512
"""A fresh encoder can read at least this many tokens, so that it can be given longer texts later."""


def find_folder(name_or_path: str, revision: str | None = None) -> Path:
    """The local folder of a model; a hub model's configuration, tokenizer and safetensors are fetched or found cached.

    Raises:
        ConfigError: no such folder, and no such model on the hub or no way to reach it.
    """
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        if revision is not None:
            raise ConfigError(
                f"revision {revision}: only a hub model has revisions, and {path} is a folder; leave it out"
            )
        return path
    if path.exists():
        raise ConfigError(f"{path}: is a file; give the folder of the model")
    if not _HUB_NAME.fullmatch(name_or_path) or name_or_path.startswith("."):
        raise ConfigError(f"{path}: no such folder; give the folder of a model or the name of one on the hub")
    return _from_hub(name_or_path, revision)


def _from_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_HUB_FILES, ignore_patterns=_HUB_SKIPPED))
    except GatedRepoError:
        problem = "the hub shows it only to those who accepted its terms; accept them and set HF_TOKEN"
    except RevisionNotFoundError:
        problem = f"the hub has it, but no revision {revision}"
    except RepositoryNotFoundError:
        problem = "no such folder, and the hub has no such model (private ones need HF_TOKEN)"
    except Exception as error:  # whatever the HTTP library, the cache or the name's validation come up with
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        problem = f"no such folder, and as a hub model it could not be fetched ({reason})"
    raise ConfigError(f"name_or_path {name}: {problem}")


def load_backbone(folder: Path, config: EncoderConfig) -> tuple["PreTrainedModel", int]:
    """The transformer in a folder, in float32 and evaluation mode, and the width of its token states.

    Of M2M100 only the encoder is kept. Poolers are left out: our pooling takes their place.

    Raises:
        ConfigError: the folder is missing something, holds another kind of model, or its weights do not fit.
    """
    from transformers import AutoConfig

    refuse_other_weights(folder)
    with one_line(folder), quiet():
        model_config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if config.dropout is not None:
            set_dropout(model_config, config.dropout)
        if model_config.model_type == "m2m_100":
            model = _m2m100_encoder(folder, model_config, config.attention)
        else:
            model = _encoder(folder, model_config, config.attention)
    return model, _finish(model, config, str(folder))


def fresh_backbone(fresh: FreshConfig, config: EncoderConfig, vocabulary_size: int) -> tuple["PreTrainedModel", int]:
    """A small transformer with new weights, drawn from torch's CPU generator: seed it."""
    positions = max(_MIN_POSITIONS, config.max_query_tokens, config.max_passage_tokens)
    if config.dropout is not None:
        fresh = fresh.model_copy(update={"dropout": config.dropout})
    make = _fresh_m2m100 if fresh.architecture == "m2m100" else _fresh_xlm_roberta
    model = make(fresh, config.attention, vocabulary_size, positions).eval()
    return model, _finish(model, config, "fresh")


def _fresh_xlm_roberta(fresh: FreshConfig, attention: str, vocabulary_size: int, positions: int) -> "PreTrainedModel":
    from transformers import XLMRobertaConfig, XLMRobertaModel

    model_config = XLMRobertaConfig(
        vocab_size=vocabulary_size,
        hidden_size=fresh.hidden,
        num_hidden_layers=fresh.layers,
        num_attention_heads=fresh.heads,
        intermediate_size=fresh.intermediate,
        hidden_dropout_prob=fresh.dropout,
        attention_probs_dropout_prob=fresh.dropout,
        max_position_embeddings=positions + 2,  # XLM-R counts positions from the padding id + 1
        type_vocab_size=1,
        attn_implementation=attention,  # type: ignore[call-arg]
    )
    return XLMRobertaModel(model_config, add_pooling_layer=False)


def _fresh_m2m100(fresh: FreshConfig, attention: str, vocabulary_size: int, positions: int) -> "PreTrainedModel":
    from transformers import M2M100Config
    from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder

    model_config = M2M100Config(
        vocab_size=vocabulary_size,
        d_model=fresh.hidden,
        encoder_layers=fresh.layers,
        encoder_attention_heads=fresh.heads,
        encoder_ffn_dim=fresh.intermediate,
        dropout=fresh.dropout,
        attention_dropout=fresh.dropout,
        encoder_layerdrop=0.0,
        max_position_embeddings=positions,
        attn_implementation=attention,  # type: ignore[call-arg]
    )
    return M2M100Encoder(model_config)


def save_backbone(model: "PreTrainedModel", folder: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Write configuration and float32 weights as transformers does; `state` has the model's own key names."""
    weights = {
        name: tensor.detach().float() if tensor.is_floating_point() else tensor for name, tensor in state.items()
    }
    with quiet():
        model.save_pretrained(folder, state_dict=weights, max_shard_size="50GB")
    # The library notes the type of the model at hand, which may be training in bfloat16.
    path = folder / "config.json"
    fields = parse_json(path.read_text(encoding="utf-8")) | {"dtype": "float32"}
    path.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def takes_pooler_option(model_class: type) -> bool:
    """Whether a model class can be built without its pooler."""
    return "add_pooling_layer" in inspect.signature(model_class).parameters


def max_positions(model: "PreTrainedModel") -> int | None:
    """Most tokens a text may have for this transformer; None where positions have no end."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < 1:
        return None
    for module in model.modules():
        # The RoBERTa family learns a table of positions and starts to count after the padding id.
        if isinstance(getattr(module, "position_embeddings", None), nn.Embedding):
            padding = getattr(module, "padding_idx", None)
            return positions - padding - 1 if isinstance(padding, int) else positions
    return positions


def refuse_other_weights(folder: Path) -> None:
    """Check that a folder has a configuration and weights in safetensors.

    Raises:
        ConfigError: it has not; the line says what it has.
    """
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder}: holds no config.json, so no transformers model; give the folder of a model")
    for index in sorted(folder.glob("*.index.json")):
        # By an index the library would unpickle whatever that names, `use_safetensors` or not.
        names = _named_by(index)
        if (bad := next((name for name in names if not _WEIGHTS_NAME.fullmatch(name)), None)) is not None:
            raise ConfigError(f"{index}: names {bad!r:.80}; weights are read from .safetensors files beside it only")
    if any(folder.glob("model*.safetensors")):
        return
    pickles = sorted(path.name for path in folder.glob("*.bin"))
    found = f"only {pickles[0]}" if pickles else "no weights"
    raise ConfigError(
        f"{folder}: holds {found}; weights are read from safetensors only: convert them once as docs/encoders.md "
        f"shows, or name a revision that has model.safetensors"
    )


def _named_by(index: Path) -> list[str]:
    try:
        return [str(name) for name in parse_json(index.read_bytes())["weight_map"].values()]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(f"{index}: no index of weights ({error!r}); fetch the model again, or delete it") from None


@contextlib.contextmanager
def one_line(folder: Path) -> Iterator[None]:
    """Turn what the library raises over a folder into one line that names it."""
    try:
        yield
    except ConfigError:
        raise
    except (
        Exception
    ) as error:  # OSError, ValueError, RuntimeError, SafetensorError, ...: by what is wrong in the folder
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        hint = next((hint + "; " for sign, hint in _HINTS.items() if sign in str(error)), "")
        raise ConfigError(f"{folder}: no encoder could be read there ({hint}{reason})") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the library's notes and bars on loading and saving: we check ourselves what they report."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _encoder(folder: Path, model_config: "PreTrainedConfig", attention: str) -> "PreTrainedModel":
    from transformers import MODEL_MAPPING

    kind = model_config.model_type
    if getattr(model_config, "is_encoder_decoder", False):
        raise ConfigError(f"{folder}: {kind} is an encoder-decoder; of those only m2m_100 is supported")
    model_class = MODEL_MAPPING.get(type(model_config), None)
    if not isinstance(model_class, type):
        raise ConfigError(f"{folder}: {kind} is not a model that AutoModel makes an encoder of")
    options = {"add_pooling_layer": False} if takes_pooler_option(model_class) else {}
    return load_whole(model_class, folder, model_config, attention, **options)


def _m2m100_encoder(folder: Path, model_config: "PreTrainedConfig", attention: str) -> "PreTrainedModel":
    from transformers import M2M100Model
    from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder

    # Whole layers left out at random would differ between the two passes of gradient caching, and between ranks.
    model_config.encoder_layerdrop = 0.0
    if model_config.architectures == [M2M100Encoder.__name__]:  # a folder that we saved
        return load_whole(M2M100Encoder, folder, model_config, attention)
    whole: Any = load_whole(M2M100Model, folder, model_config, attention)
    return whole.encoder


def load_whole(
    model_class: Any, folder: Path, model_config: "PreTrainedConfig", attention: str, **options: Any
) -> "PreTrainedModel":
    """A model of a class of transformers, every one of its weights from the folder's safetensors.

    Raises:
        ConfigError: the folder lacks weights that the model has.
    """
    model, report = model_class.from_pretrained(
        folder,
        config=model_config,
        dtype=torch.float32,
        attn_implementation=attention,
        use_safetensors=True,
        local_files_only=True,
        ignore_mismatched_sizes=True,  # reported below instead
        output_loading_info=True,
        **options,
    )
    # The library fills what it does not find with random numbers.
    absent = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    if absent:
        raise ConfigError(
            f"{folder}: its weights lack {len(absent)} tensors that {model_class.__name__} has by its config.json, "
            f"such as {absent[0]}; the folder is incomplete or holds another kind of model"
        )
    return model


def set_dropout(model_config: "PreTrainedConfig", probability: float) -> None:
    """Set every dropout probability: names differ (hidden_dropout_prob, attention_dropout, resid_pdrop, ...)."""
    for name, value in model_config.to_dict().items():
        if isinstance(value, (int, float)) and ("dropout" in name or name.endswith("_pdrop")):
            setattr(model_config, name, probability)


def _finish(model: "PreTrainedModel", config: EncoderConfig, where: str) -> int:
    """Check that it encodes texts as long as wanted, switch checkpointing on; the width of its token states."""
    try:
        with torch.no_grad():
            probe = torch.zeros((1, 2), dtype=torch.int64)
            width = model(input_ids=probe, attention_mask=torch.ones_like(probe)).last_hidden_state.shape[-1]
    except Exception as error:  # a model for images, say, fails in a way of its own
        raise ConfigError(f"{where}: {model.config.model_type} does not turn token ids into token states") from error
    limit = max_positions(model)
    for name in ("max_query_tokens", "max_passage_tokens"):
        if limit is not None and getattr(config, name) > limit:
            raise ConfigError(f"{name} is {getattr(config, name)}, but {where} reads at most {limit} tokens; lower it")
    if config.gradient_checkpointing:
        switch_checkpointing_on(model)
    return width


def switch_checkpointing_on(model: "PreTrainedModel") -> None:
    """Have each layer run again in the backward pass instead of keeping what it computed."""
    if not model.supports_gradient_checkpointing:
        raise ConfigError(f"gradient_checkpointing: {model.config.model_type} does not have it; leave it out")
    # The second name is the only one in early transformers 5, and goes away in 6.
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
