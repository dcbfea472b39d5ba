"""Token ids against those of transformers, padding, and what travels between processes."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from cluster.errors import ConfigError, DataError
from retrieval.encoder.config import EncoderConfig, FreshConfig
from retrieval.encoder.folder import build_encoder, load_encoder
from retrieval.encoder.tokens import Tokens, load_tokens

SHORT = EncoderConfig(name_or_path="folder", max_query_tokens=12, max_passage_tokens=32)


@pytest.mark.parametrize(("role", "prefix", "longest"), [("query", "Query: ", 12), ("passage", "Passage: ", 32)])
def test_ids_are_those_of_transformers_for_the_prefixed_text(
    bert_folder: Path, texts: list[str], role: str, prefix: str, longest: int
) -> None:
    ids = load_tokens(bert_folder, SHORT).encode(texts, role)
    reference = AutoTokenizer.from_pretrained(bert_folder)
    expected = reference([prefix + text for text in texts], truncation=True, max_length=longest)["input_ids"]
    assert [row.tolist() for row in ids] == expected
    assert all(row.dtype == np.int32 for row in ids)
    assert max(map(len, expected)) == longest  # something was cut off


@pytest.mark.parametrize("language", ["en", "de", "zh"])
def test_m2m100_ids_are_those_of_its_own_tokenizer(m2m100_folder: Path, texts: list[str], language: str) -> None:
    ids = load_tokens(m2m100_folder, SHORT).encode(texts, "passage", [language] * len(texts))
    reference = AutoTokenizer.from_pretrained(m2m100_folder, src_lang=language)
    prefixed = ["Passage: " + text for text in texts]
    assert [row.tolist() for row in ids] == reference(prefixed, truncation=True, max_length=32)["input_ids"]
    assert {reference.convert_ids_to_tokens(int(row[0])) for row in ids} == {f"__{language}__"}


@pytest.mark.parametrize(
    ("code", "token"),
    [("pt-BR", "pt"), ("zh_tw", "zh"), ("deu", "de"), ("srp-Latn", "sr"), ("iw", "he"), ("nb", "no"), ("tgl", "tl")],
)
def test_usual_codes_find_the_language_m2m100_knows(m2m100_folder: Path, code: str, token: str) -> None:
    tokens = load_tokens(m2m100_folder, SHORT)
    assert tokens.encode(["x"], "query", [code])[0].tolist() == tokens.encode(["x"], "query", [token])[0].tolist()


def test_languages_that_do_not_go_with_the_texts_are_one_line_errors(m2m100_folder: Path) -> None:
    tokens = load_tokens(m2m100_folder, SHORT)
    with pytest.raises(DataError, match="give the languages"):
        tokens.encode(["x"], "query")
    with pytest.raises(DataError, match=r"'xx' is not one of M2M100's: af, am, .* zu$"):
        tokens.encode(["x"], "query", ["xx"])
    with pytest.raises(DataError, match="1 texts but 2 languages"):
        tokens.encode(["x"], "query", ["en", "de"])


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 32), max_size=6), multiple_of=st.sampled_from([1, 8, 16]))
def test_padding_keeps_every_id_and_adds_only_padding(
    bert_tokens: Tokens, lengths: list[int], multiple_of: int
) -> None:
    ids = [np.arange(5, 5 + length, dtype=np.int32) for length in lengths]
    padded = bert_tokens.pad(ids, multiple_of)
    width = padded["input_ids"].shape[1]
    assert padded["input_ids"].shape == padded["attention_mask"].shape == (len(ids), width)
    assert width % multiple_of == 0 and width - max(lengths, default=1) < multiple_of
    for row, length in enumerate(lengths):
        assert padded["input_ids"][row].tolist() == [*ids[row], *[0] * (width - length)]
        assert padded["attention_mask"][row].tolist() == [1] * length + [0] * (width - length)


@pytest.fixture(scope="module")
def bert_tokens(bert_folder: Path) -> Tokens:
    return load_tokens(bert_folder, SHORT)


def test_padding_never_exceeds_the_positions_a_text_may_have(bert_folder: Path) -> None:
    # The model has 60 positions; 60 rounded up to a multiple of 8 would be 64.
    config = EncoderConfig(name_or_path=str(bert_folder), max_passage_tokens=60)
    encoder, tokens = load_encoder(bert_folder, config.model_copy(update={"max_query_tokens": 60}))
    padded = tokens(["x " * 100], "passage")
    assert padded["input_ids"].shape == (1, 60)
    encoder(**{name: torch.from_numpy(array) for name, array in padded.items()})


def test_tokens_travel_without_their_folder(m2m100_folder: Path, bert_tokens: Tokens, texts: list[str]) -> None:
    languages = ["en"] * len(texts)
    for tokens in (bert_tokens, load_tokens(m2m100_folder, SHORT)):
        travelled = pickle.loads(pickle.dumps(tokens))  # noqa: S301 - what Ray does with it
        for here, there in zip(
            tokens.encode(texts, "query", languages), travelled.encode(texts, "query", languages), strict=True
        ):
            np.testing.assert_array_equal(here, there)
        assert travelled.fingerprint == tokens.fingerprint


def test_the_fingerprint_changes_with_whatever_changes_ids_and_with_nothing_else(
    bert_folder: Path, distilbert_folder: Path, m2m100_folder: Path
) -> None:
    def name(folder: Path, **fields: object) -> str:
        return load_tokens(folder, SHORT.model_copy(update=fields)).fingerprint

    plain = name(bert_folder)
    assert name(bert_folder, pooling="cls", dropout=0.5) == plain
    assert name(distilbert_folder) == plain  # the same tokenizer in another folder
    others = [
        name(bert_folder, max_query_tokens=13),
        name(bert_folder, max_passage_tokens=31),
        name(bert_folder, query_prefix=""),
        name(bert_folder, passage_prefix="Query: "),
        name(m2m100_folder),
    ]
    assert len({plain, *others}) == len(others) + 1


def test_prefixes_in_a_script_that_the_texts_lack_are_known_to_a_fresh_tokenizer() -> None:
    fresh = FreshConfig(layers=1, hidden=16, heads=2, intermediate=16, vocabulary=300)
    _, tokens = build_encoder(EncoderConfig(fresh=fresh), ["多瑙河发源于哪里？", "多瑙河发源于黑森林，注入黑海。"] * 9)
    query, passage = (tokens.encode([""], role)[0].tolist() for role in ("query", "passage"))
    unknown = 3
    assert unknown not in query + passage and query != passage


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no tokenizer could be read there") as caught:
        load_tokens(tmp_path, SHORT)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
