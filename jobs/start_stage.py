"""The encoder that every arm starts from: what it is, and how it is made."""

from pathlib import Path
from typing import Any

from cluster.config import to_plain
from cluster.fingerprint import file_sha256
from cluster.logs import get_logger, progress
from cluster.storage import ResultSet
from retrieval.encoder.config import EncoderConfig

_logger = get_logger("start")


def encoder_identity(config: EncoderConfig) -> dict[str, Any]:
    """The configuration as plain values, for fingerprints: local folders by the content of their files."""
    identity: dict[str, Any] = to_plain(config)
    for part, name in (
        (identity, config.name_or_path),
        (identity.get("image"), config.image.name_or_path if config.image else None),
    ):
        if part and name and Path(name).is_dir():
            files = sorted(path for path in Path(name).rglob("*") if path.is_file())
            part["name_or_path"] = [file_sha256(path) for path in files]
    return identity


def write_start(folder: Path, config: EncoderConfig, prepared: ResultSet) -> None:
    """Write a copy of the encoder that is named, or a fresh one whose tokenizer is fitted to the prepared groups."""
    from retrieval.encoder.folder import build_encoder, save_encoder
    from retrieval.encoder.fresh import sample_texts
    from retrieval.groups import open_groups

    groups = open_groups(prepared)
    read = groups.iter_groups(images=False)
    texts = sample_texts(progress(read, "reading groups", total=groups.num_groups, unit="group"))
    _logger.info("building the encoder to start from")
    encoder, tokens = build_encoder(config, texts)
    save_encoder(folder, encoder, tokens)
