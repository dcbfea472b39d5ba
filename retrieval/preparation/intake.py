"""Groups on their way through prepare: texts in a file, and a few numbers of each group and pair in memory.

Memory grows by about half a kilobyte a group in 3 languages (measured at the peak, with 400,000): 5 million groups
take 2.7 GB, and as much scratch disk as their texts, which are read back in random order.
"""

import base64
import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from retrieval.images import ImageSource
from retrieval.preparation.coverage import Coverage
from retrieval.preparation.keys import image_key, order_key, text_key
from retrieval.records import Group, Pair


class Spool:
    """Groups in a file, one JSON text after the other, to be read back by number."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("w+b")
        self._starts = array("Q", [0])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def append(self, group: Group) -> None:
        """Write one group; its number is the count of those before it."""
        pairs = {language: [pair.query, pair.passage, pair.negatives] for language, pair in group.pairs.items()}
        data = json.dumps([group.id, group.passage_id, pairs, _plain(group.image)], ensure_ascii=False).encode()
        self._file.write(data)
        self._starts.append(self._starts[-1] + len(data))

    def read(self, number: int) -> Group:
        """The group with a number."""
        start, end = self._starts[number], self._starts[number + 1]
        self._file.seek(start)
        id, passage_id, pairs, image = json.loads(self._file.read(end - start))
        return Group(
            id=id,
            passage_id=passage_id,
            pairs={code: Pair(query, passage, tuple(negatives)) for code, (query, passage, negatives) in pairs.items()},
            image=_image(image),
        )

    def close(self) -> None:
        """Close the file; the groups cannot be read any more."""
        self._file.close()


def _plain(image: ImageSource | None) -> str | None:
    """A file stays where it is until it is written; other images go along in base 64."""
    if image is None:
        return None
    return f"file:{image}" if isinstance(image, Path) else base64.b64encode(image).decode()


def _image(plain: str | None) -> ImageSource | None:
    if plain is None:
        return None
    return Path(plain.removeprefix("file:")) if plain.startswith("file:") else base64.b64decode(plain)


@dataclass(frozen=True)
class Facts:
    """The numbers of G groups and N pairs, in reading order; keys are those of `keys`."""

    kind: np.ndarray
    """(G) uint32, index into `Intake.kinds`."""
    has_negatives: np.ndarray
    """(G) uint8, 1 where a pair has hard negatives."""
    id: np.ndarray
    """(G) uint64 key of the group's id."""
    order: np.ndarray
    """(G) uint64 place in the shuffle."""
    given_passage: np.ndarray
    """(G) uint64 key of the passage id that the data set gave; 0 where it gave none."""
    pair_group: np.ndarray
    """(N) uint32 group of each pair."""
    pair_language: np.ndarray
    """(N) uint16, index into `Intake.languages`."""
    pair: np.ndarray
    """(N) uint64 key of language, query and passage."""
    passage: np.ndarray
    """(N) uint64 key of the passage, whatever its language."""
    image: np.ndarray
    """(G) uint64 key of the image's content; 0 where a group has none."""


class Intake:
    """Takes cleaned groups in, one by one."""

    def __init__(self, spool: Spool, seed: int) -> None:
        self.spool = spool
        self.kinds: list[tuple[str, Coverage, bool]] = []
        """Data set and coverage of groups, and whether they have images, by number."""
        self.languages: list[str] = []
        """Language codes, by number."""
        self._seed = seed
        self._kind_numbers: dict[tuple[str, Coverage, bool], int] = {}
        self._language_numbers: dict[str, int] = {}
        self._kind, self._has_negatives = array("I"), array("B")
        self._id, self._order, self._given_passage = array("Q"), array("Q"), array("Q")
        self._pair_group, self._pair_language = array("I"), array("H")
        self._pair, self._passage, self._image = array("Q"), array("Q"), array("Q")

    def add(self, group: Group, label: str) -> None:
        """Take in one cleaned group of the data set `label`."""
        number = len(self.spool)
        self.spool.append(group)
        image = image_key(group.image) if group.image is not None else 0
        self._kind.append(self.kind_number(label, sorted(group.pairs), bool(image)))
        self._image.append(image)
        self._has_negatives.append(any(pair.negatives for pair in group.pairs.values()))
        self._id.append(text_key(group.id))
        self._order.append(order_key(group.id, self._seed))
        self._given_passage.append(text_key("passage id", group.passage_id) if group.passage_id else 0)
        for language, pair in group.pairs.items():
            self._pair_group.append(number)
            self._pair_language.append(self._language_number(language))
            # A pair of captions that two images share is no repeat: it stands for either.
            of_image = [str(image)] if image else []
            self._pair.append(text_key(language, pair.query, pair.passage, *of_image))
            self._passage.append(text_key(pair.passage))

    def kind_number(self, label: str, languages: Sequence[str], has_images: bool) -> int:
        """Number of a data set with a coverage, with or without images; a new one where it has none yet."""
        kind = (label, tuple(languages), has_images)
        if kind not in self._kind_numbers:
            self._kind_numbers[kind] = len(self.kinds)
            self.kinds.append(kind)
        return self._kind_numbers[kind]

    def _language_number(self, language: str) -> int:
        if language not in self._language_numbers:
            self._language_numbers[language] = len(self.languages)
            self.languages.append(language)
        return self._language_numbers[language]

    def facts(self) -> Facts:
        """The numbers of all groups taken in so far, as arrays."""
        return Facts(
            kind=np.array(self._kind),
            has_negatives=np.array(self._has_negatives),
            id=np.array(self._id),
            order=np.array(self._order),
            given_passage=np.array(self._given_passage),
            pair_group=np.array(self._pair_group),
            pair_language=np.array(self._pair_language),
            pair=np.array(self._pair),
            passage=np.array(self._passage),
            image=np.array(self._image),
        )
