"""Prepared groups with everything that batches can hold: several sources and files, hard negatives, images."""

import io
import json
import random
from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.groups import GROUPS_FILE, VERSION, PreparedGroups, open_groups
from retrieval.preparation.shards import write_shards
from retrieval.records import Group, Pair

WORDS = ["stone", "river", "Haus", "über", "maïs", "城市", "город", "नदी", "แม่น้ำ", "apa", "kabar"]


def rich_groups(folder: Path) -> PreparedGroups:
    """Three sources: four languages with negatives and images in three files, one language, two languages."""
    draw = random.Random(4)
    sources = [
        _source(folder, draw, "rich", ("de", "en", "hi", "zh"), 45, negatives=True, images=True),
        _source(folder, draw, "english", ("en",), 19, negatives=False, images=False),
        _source(folder, draw, "pairs", ("en", "th"), 30, negatives=True, images=False),
    ]
    document = {"version": VERSION, "row_group_rows": 8, "sources": sources}
    (folder / GROUPS_FILE).write_text(json.dumps(document), encoding="utf-8")
    return open_groups(folder)


def _source(
    folder: Path, draw: random.Random, name: str, languages: tuple[str, ...], number: int, negatives: bool, images: bool
) -> dict[str, object]:
    def text() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(1, 30)))

    groups = [
        Group(
            id=f"{name}-{row}",
            pairs={
                language: Pair(text(), text(), tuple(text() for _ in range(draw.randint(0, 3))) if negatives else ())
                for language in languages
            },
            passage_id=f"{name}-passage-{row // 2}",
            image=_image(row) if images else None,
        )
        for row in range(number)
    ]
    return {
        "name": name,
        "dataset": name,
        "languages": languages,
        "num_groups": number,
        "has_negatives": negatives,
        "has_images": images,
        "shards": write_shards(folder, name, groups, languages, negatives, 8, 16, images),
    }


def _image(number: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(stream, "PNG")
    return stream.getvalue()
