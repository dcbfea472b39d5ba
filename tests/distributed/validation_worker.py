"""One rank that validates: `validation_worker.py FOLDER` with an `encoder` in it. Reports what it measured."""

import sys
from pathlib import Path

from retrieval.records import Collection, Group, Pair, collection_from_groups

LANGUAGES = ("de", "en", "es")
WORDS = ("river", "stone", "tower", "garden", "bread", "wine", "school", "market", "north", "south")


def groups(number: int) -> list[Group]:
    """Parallel pairs of different lengths; the last one in English only."""
    made = []
    for row in range(number):
        words = [WORDS[(row * step + step) % len(WORDS)] for step in range(1, 3 + row % 5)]
        pairs = {
            language: Pair(f"{language} {' '.join(words[:2])} {row}?", f"{' '.join(words)} {language} {row}.")
            for language in (LANGUAGES if row + 1 < number else LANGUAGES[1:2])
        }
        made.append(Group(f"test/{row}", pairs))
    return made


def collections() -> list[Collection]:
    """One with a number of texts that ranks do not divide, one with fewer texts than ranks."""
    return [collection_from_groups("many", groups(12), LANGUAGES), collection_from_groups("few", groups(1), ("en",))]


def main(folder: Path) -> None:
    from small_training import report

    from retrieval.encoder.folder import load_encoder
    from trainer.engine import Engine
    from trainer.engine_config import EngineConfig
    from trainer.loss import LossConfig
    from trainer.ranks import process_group
    from trainer.validate import Validator

    with process_group():
        encoder, tokens = load_encoder(folder / "encoder")
        engine = Engine(encoder, tokens.pad_id, EngineConfig(zero_stage=3), LossConfig())
        report([Validator(collection, tokens).measure(engine) for collection in collections()])
        engine.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
