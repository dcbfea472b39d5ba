"""Texts that were tokenised before are looked up, and the ids are those of the tokenizer."""

from pathlib import Path

import numpy as np
import pytest
from rich_groups.groups import WORDS

from cluster.config import build_config
from cluster.errors import DataError
from retrieval.encoder.config import EncoderConfig
from retrieval.encoder.fresh import build_fresh
from retrieval.encoder.tokens import Tokens
from retrieval.token_lookup import open_token_lookup, write_token_lookup

TEXTS = [" ".join(WORDS[start : start + length]) for start in range(6) for length in (1, 3, 11)]
LANGUAGES = ["en", "de", "zh"] * 6


@pytest.fixture(scope="module", params=["xlm_roberta", "m2m100"])
def tokens(request: pytest.FixtureRequest) -> Tokens:
    fresh = {"layers": 1, "hidden": 8, "heads": 1, "vocabulary": 200, "architecture": request.param}
    fields = {"fresh": fresh, "max_query_tokens": 8, "max_passage_tokens": 12}
    return build_fresh(build_config(EncoderConfig, fields), WORDS * 20)[1]


class Forbidden:
    """An engine for texts that must be known."""

    def encode(self, *_: object) -> None:
        raise AssertionError("tokenised again")


def test_known_texts_are_not_tokenised_and_all_ids_are_the_tokenizers(tokens: Tokens, tmp_path: Path) -> None:
    half = len(TEXTS) // 2
    write_token_lookup(
        tmp_path, tokens, [(TEXTS[:half] * 2, "query", LANGUAGES[:half] * 2), (TEXTS, "passage", LANGUAGES)]
    )
    lookup = open_token_lookup(tmp_path)
    # Equal texts once; those of both roles twice, for prefix and length differ.
    assert len(lookup.keys) == half + len(TEXTS)
    knowing = tokens.knowing(lookup)
    assert (knowing.fingerprint, knowing.vocabulary_size) == (tokens.fingerprint, tokens.vocabulary_size)
    for role in ("query", "passage"):
        for texts, languages in ((TEXTS, LANGUAGES), (TEXTS[::-1], LANGUAGES[::-1]), ([], [])):
            expected, found = tokens.encode(texts, role, languages), knowing.encode(texts, role, languages)
            assert [ids.tolist() for ids in found] == [ids.tolist() for ids in expected]
            assert all(ids.dtype == np.int32 for ids in found)
    object.__setattr__(knowing._engine, "engine", Forbidden())
    knowing.encode(TEXTS, "passage", LANGUAGES)
    knowing.encode(TEXTS[:half], "query", LANGUAGES[:half])
    other_languages = ["es", *LANGUAGES[1:]]
    if tokens.marks_languages:
        with pytest.raises(AssertionError, match="tokenised again"):
            knowing.encode(TEXTS, "passage", other_languages)
    else:
        knowing.encode(TEXTS, "passage", other_languages)


def test_nothing_known_and_damage(tokens: Tokens, tmp_path: Path) -> None:
    write_token_lookup(tmp_path, tokens, [([], "query", [])])
    found = tokens.knowing(open_token_lookup(tmp_path)).encode(TEXTS, "query", LANGUAGES)
    assert [ids.tolist() for ids in found] == [ids.tolist() for ids in tokens.encode(TEXTS, "query", LANGUAGES)]
    np.save(tmp_path / "texts.keys.npy", np.arange(3))
    with pytest.raises(DataError, match=r"texts\.keys\.npy: holds 3 texts, expected 0"):
        open_token_lookup(tmp_path)
