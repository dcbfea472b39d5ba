"""Splits of a data set that has none of its own, by a keyed hash of the ids: the order of files changes nothing."""

import hashlib
from collections.abc import Iterable
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import AfterValidator

from cluster.config import Config, Share
from cluster.errors import DataError


def _check_amount(amount: Fraction) -> Fraction:
    if amount < 0 or (amount >= 1 and amount.denominator != 1):
        raise ValueError("must be a whole number, or a share below 1")
    return amount


Amount = Annotated[Share, AfterValidator(_check_amount)]
"""A number of ids (300), or a share of all (0.15)."""


class SplitConfig(Config):
    """Fields of a data set that is split by id."""

    split: Literal["train", "validation", "test", "all"] = "all"
    """Which part: `test` is held out, `train` is what neither other part has."""

    held_out: Amount = Fraction(0)
    """Size of the test split: a number of ids, or a share below 1."""

    validation: Amount = Fraction(0)
    """Size of the validation split, likewise."""

    split_seed: int = 0
    """Another seed holds out other ids. Every configuration on the same data needs the same one."""


def ids_of_split(config: SplitConfig, ids: Iterable[str], where: object) -> list[str]:
    """The ids of the configured split, in the order given.

    Test ids come first in the order of the hash, then validation ids, so that the size of the validation split never
    changes which ids are held out.

    Raises:
        DataError: the splits ask for more ids than there are, or the configured one is empty; `where` names the data.
    """
    every = list(dict.fromkeys(ids))
    if config.split == "all":
        return every
    ordered = sorted(every, key=lambda id: _keyed_hash(id, config.split_seed))
    test_end = _count(config.held_out, len(ordered))
    validation_end = test_end + _count(config.validation, len(ordered))
    if validation_end > len(ordered):
        raise DataError(f"{where}: held_out and validation ask for {validation_end} of {len(ordered)} ids; lower them")
    bounds = {"test": (0, test_end), "validation": (test_end, validation_end), "train": (validation_end, None)}
    start, end = bounds[config.split]
    chosen = set(ordered[start:end])
    if not chosen:
        raise DataError(
            f"{where}: the {config.split} split has none of the {len(every)} ids; change held_out ({config.held_out}) "
            f"or validation ({config.validation})"
        )
    return [id for id in every if id in chosen]


def _count(amount: Fraction, ids: int) -> int:
    """A share that is not 0 gives at least one id."""
    if amount == 0 or amount >= 1:
        return int(amount)
    return max(1, round(amount * ids))


def _keyed_hash(id: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {id}".encode(errors="surrogatepass"), digest_size=8, person=b"ids").digest()
