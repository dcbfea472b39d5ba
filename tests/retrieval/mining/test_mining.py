"""Mined negatives by hand, against a search without tricks, and through the files."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.groups import GROUPS_FILE, open_groups
from retrieval.mining.config import MiningConfig
from retrieval.mining.corpus import Corpus, corpus_of
from retrieval.mining.mine import Miner, write_mined
from retrieval.preparation.shards import write_shards
from retrieval.records import Group, Pair


def group(name: str, passages: dict[str, str], passage_id: str = "") -> Group:
    return Group(name, {code: Pair(f"{name} {code}?", passage) for code, passage in passages.items()}, passage_id)


def searching(vectors: np.ndarray, bounds: list[int]):
    def search(queries: np.ndarray, k: int, languages) -> tuple[np.ndarray, np.ndarray]:
        scores = queries @ vectors.T
        for language in range(len(bounds) - 1):
            if language not in languages:
                scores[:, bounds[language] : bounds[language + 1]] = -np.inf
        rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(scores, rows, 1)
        return best, np.where(np.isneginf(best), -1, rows)

    return search


def miner(
    config: MiningConfig, corpus: Corpus, passages: dict[str, list[float]], queries: dict[str, list[float]]
) -> Miner:
    """With vectors by text: of passages in the corpus' order, of queries by their text."""
    vectors = np.float32([passages[text] for texts in corpus.texts for text in texts])
    return Miner(
        config,
        corpus,
        lambda rows: vectors[rows],
        lambda texts, _: np.float32([queries[text] for text in texts]),
        searching(vectors, corpus.bounds),
    )


def test_negatives_by_hand() -> None:
    groups = [group("a", {"de": "A"}), group("b", {"de": "B"}), group("c", {"de": "C"}), group("d", {"de": "D"})]
    passages = {"A": [1, 0], "B": [0.99, 0], "C": [0.8, 0], "D": [-1, 0]}
    queries = {"a de?": [1, 0], "b de?": [0, 1], "c de?": [-1, 0], "d de?": [1, 0]}
    found = miner(MiningConfig(per_language=2, ceiling=0.95), corpus_of(groups, ["de"]), passages, queries).mined(
        groups, ["de"]
    )
    # a: B scores above .95 of A's score, so it may be an answer nobody marked. b: all score 0, as its own passage.
    # c: its own passage scores -.8; a ceiling of .95 of that is -.84, which A and B lie below and D does not.
    # d: its own passage scores -1, the ceiling is -1.05: all others are too good.
    assert [one.pairs["de"].negatives for one in found] == [("C", "D"), ("A", "C"), ("B", "A"), ()]


def test_no_answer_becomes_a_negative() -> None:
    """Not the group's own passage in any language, not the same paragraph, not the same text under another id."""
    groups = [
        group("a", {"de": "Text", "en": "text"}, "p"),
        group("b", {"de": "Text", "en": "text, otherwise"}, "q"),  # its German is a's: q and p are one passage
        group("c", {"de": "Fern", "en": "far"}, "p"),
        group("d", {"de": "Anderes", "en": "other"}, "r"),
    ]
    corpus = corpus_of(groups, ["de", "en"])
    assert corpus.texts == (["Text", "Fern", "Anderes"], ["text", "text, otherwise", "far", "other"])
    assert {corpus.text(row, 0 if row < 3 else 1) for row in corpus.answers(groups[0])} == {
        "Text", "Fern", "text", "text, otherwise", "far",
    }  # fmt: skip
    passages = {text: [1.0, 0.1 * number] for texts in corpus.texts for number, text in enumerate(texts)}
    queries = {f"{one.id} {code}?": [1.0, 0.0] for one in groups for code in ("de", "en")}
    found = miner(MiningConfig(ceiling=1), corpus, passages, queries).mined(groups, ["de", "en"])
    assert [one.pairs["en"].negatives for one in found[:3]] == [("other",)] * 3
    assert set(found[3].pairs["de"].negatives) == {"Text", "Fern"}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["own", "all"]), st.integers(1, 12), st.integers(1, 4))
def test_negatives_are_what_looking_at_every_passage_gives(seed: int, queries: str, depth: int, kept: int) -> None:
    rng = np.random.default_rng(seed)
    codes = ["de", "en", "fr"]
    groups = [
        group(f"g{n}", {code: f"{code} {rng.integers(12)}" for code in codes}, f"p{rng.integers(10)}")
        for n in range(14)
    ]
    corpus = corpus_of(groups, codes)
    passages = {text: (rng.integers(-4, 5, 3) / 4).tolist() for texts in corpus.texts for text in texts}
    asked = {f"{one.id} {code}?": (rng.integers(-4, 5, 3) / 4).tolist() for one in groups for code in codes}
    config = MiningConfig(depth=depth, per_language=kept, ceiling=0.9, queries=queries)
    found = miner(config, corpus, passages, asked).mined(groups, codes)
    for one, mined in zip(groups, found, strict=True):
        answers = {
            (c, corpus.text(r, c))
            for c in range(3)
            for r in corpus.answers(one)
            if corpus.bounds[c] <= r < corpus.bounds[c + 1]
        }
        for number, code in enumerate(codes):
            best: dict[str, float] = {}
            refused = set()
            for asker in codes if queries == "all" else [code]:
                query = np.float32(asked[f"{one.id} {asker}?"])
                score = {text: float(query @ np.float32(passages[text])) for text in corpus.texts[number]}
                true = score[one.pairs[code].passage]
                order = sorted(corpus.texts[number], key=lambda text: (-score[text], corpus.row(number, text)))
                for text in order[:depth]:
                    if (number, text) not in answers:
                        best[text] = max(score[text], best.get(text, -9.0))
                        if score[text] > true - (1 - 0.9) * abs(true):
                            refused.add(text)
            expected = sorted(best.keys() - refused, key=lambda text: (-best[text], corpus.row(number, text)))[:kept]
            assert mined.pairs[code].negatives == tuple(expected)


def test_mined_groups_are_the_same_groups_with_negatives(tmp_path: Path) -> None:
    import json

    rng = np.random.default_rng(1)
    codes = ["de", "en"]
    groups = [group(f"g{n}", {code: f"{code} {n}" for code in codes}) for n in range(23)]
    (tmp_path / "plain").mkdir()
    shards = write_shards(tmp_path / "plain", "some", groups, codes, False, 4, 8)
    facts = {
        "name": "some",
        "dataset": "some",
        "languages": codes,
        "num_groups": 23,
        "has_negatives": False,
        "shards": shards,
    }
    (tmp_path / "plain" / GROUPS_FILE).write_text(json.dumps({"version": 1, "row_group_rows": 4, "sources": [facts]}))
    plain = open_groups(tmp_path / "plain")
    corpus = corpus_of(plain.iter_groups(), codes)
    passages = {text: rng.standard_normal(8).tolist() for texts in corpus.texts for text in texts}
    queries = {f"{one.id} {code}?": rng.standard_normal(8).tolist() for one in groups for code in codes}
    (tmp_path / "mined").mkdir()
    write_mined(tmp_path / "mined", plain, miner(MiningConfig(), corpus, passages, queries))
    mined = open_groups(tmp_path / "mined")
    assert mined.sources[0].has_negatives and mined.num_groups == 23
    for before, after in zip(plain.iter_groups(), mined.iter_groups(), strict=True):
        assert after.id == before.id and after.pairs["de"].passage == before.pairs["de"].passage
        assert len(set(after.pairs["en"].negatives)) == len(after.pairs["en"].negatives) <= 4
        assert before.pairs["en"].passage not in after.pairs["en"].negatives
    assert any(one.pairs["de"].negatives for one in mined.iter_groups())
    document = json.loads((tmp_path / "mined" / GROUPS_FILE).read_text())
    assert document["mined"]["negatives"] == sum(
        len(p.negatives) for g in mined.iter_groups() for p in g.pairs.values()
    )


def test_a_depth_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="depth"):
        MiningConfig(depth=0)
