"""Sentences and their translations: what the bitext data sets have in common.

A group is one sentence in several languages, and in each of them the sentence is both query and passage. In a
cross-lingual or multilingual batch the query and the passage are then a sentence and its translation. In a
monolingual batch they would be the same text, from which nothing is learnt: give bitext sources a mix without
monolingual batches, or use them for evaluation only.

As an evaluation every sentence searches all others. Relevant are its translations, and sentences whose text equals
that of one of them. The sentence itself is left out of its own rankings.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from cluster.config import Config
from cluster.errors import DataError
from retrieval.datasets.checksums import check_content, in_normal_form
from retrieval.language_codes import CanonicalLanguages, files_by_language
from retrieval.records import Collection, Group, Pair

Sentences = Mapping[str, Mapping[str, str]]
"""Language -> id -> sentence in normal form; sentences with one id are translations of each other."""


class BitextConfig(Config):
    """Fields of a data set of parallel sentences."""

    path: Path
    """Folder of the data set's files; relative paths start in the working directory."""

    languages: CanonicalLanguages | None = None
    """Languages to read, by any of their codes; all there are where not given."""

    own_text: Literal["left_out", "candidate"] = "left_out"
    """In an evaluation: leave a sentence out of its own rankings, or keep it as one more `candidate`, which is
    relevant. Only then there are monolingual settings, and they show no more than that equal texts have equal
    vectors."""

    excerpt: bool = False
    """The files hold only part of the data set: do not check published counts and checksums."""


def read_parts(
    name: str,
    config: BitextConfig,
    files: Mapping[str, Path],
    read: Callable[[Path], dict[str, str]],
    count: int | None,
) -> dict[str, dict[str, str]]:
    """Read one file per language and check that each is the published one.

    Args:
        files: by the data set's own language codes, as `checksums.json` has them.
        read: a file's sentences by id.
        count: published number of sentences of each language.

    Raises:
        DataError: a wanted language is not there; a file is not the published one.
    """
    code_of = {path: code for code, path in files.items()}
    sentences = {}
    for language, path in files_by_language(files, config.languages, config.path).items():
        sentences[language] = in_normal_form(read(path))
        if not config.excerpt:
            check_content(path, name, code_of[path], sentences[language], count)
    return sentences


def groups_of_sentences(label: str, sentences: Sentences) -> Iterator[Group]:
    """One group per id that exists in two languages or more, each sentence as query and as passage."""
    ids = dict.fromkeys(id for of_language in sentences.values() for id in of_language)
    for id in ids:
        pairs = {code: Pair(texts[id], texts[id]) for code, texts in sentences.items() if id in texts}
        if len(pairs) > 1:
            yield Group(id=f"{label}/{id}", pairs=pairs)


def collection_of_sentences(
    label: str, name: str, sentences: Sentences, own_text: Literal["left_out", "candidate"] = "left_out"
) -> Collection:
    """Every sentence against all sentences; query rows and passage rows are the same rows.

    Made for many languages: 205 of them with 1,004 sentences have 42 million judgements, which never exist as objects.

    Raises:
        DataError: fewer than two languages, so that there is nothing to search for.
    """
    if len(sentences) < 2 and own_text == "left_out":
        raise DataError(f"{name}: has one language ({', '.join(sentences)}); translations need two or more")
    languages = tuple(sentences)
    rows = [(language, id) for language in languages for id in sentences[language]]
    texts = [text for language in languages for text in sentences[language].values()]
    language_N = np.repeat(np.arange(len(languages), dtype=np.int16), [len(sentences[code]) for code in languages])
    judged_query, judged_passage = _judgements(sentences, own_text == "candidate")
    return Collection(
        name=name,
        languages=languages,
        query_ids=[f"{label}/{id}" for _, id in rows],
        query_texts=texts,
        query_language=language_N,
        passage_ids=[f"{label}/{id}@{language}" for language, id in rows],
        passage_texts=texts,
        passage_language=language_N,
        judged_query=judged_query,
        judged_passage=judged_passage,
        grade=np.ones(len(judged_query), np.int16),
        own_passage=np.arange(len(rows), dtype=np.int64) if own_text == "left_out" else None,
    )


def _judgements(sentences: Sentences, with_own: bool) -> tuple[np.ndarray, np.ndarray]:
    """(J), (J) int64 query and passage rows that say the same, sorted by query row, then passage row.

    With S_l[i, r] = 1 where the sentence with id i has in language l the text of row r, the rows of language b that say
    what rows of language a say are the nonzeros of S_a^T S_b.
    """
    from scipy import sparse

    number_of = {id: number for number, id in enumerate(dict.fromkeys(i for of in sentences.values() for i in of))}
    same_text = [_same_text(of_language, number_of) for of_language in sentences.values()]
    in_all_languages = sparse.hstack(same_text, format="csr")
    counts, passages, first = [], [], 0
    for of_query in same_text:
        relevant = (of_query.T @ in_all_languages).tocsr()
        relevant.sort_indices()
        count, passage = np.diff(relevant.indptr), relevant.indices
        if not with_own:
            query = np.repeat(np.arange(first, first + len(count)), count)
            count, passage = count - np.bincount(query[passage == query] - first), passage[passage != query]
        counts.append(count)
        passages.append(passage)
        first += len(count)
    return np.repeat(np.arange(first), np.concatenate(counts)), np.concatenate(passages).astype(np.int64)


def _same_text(of_language: Mapping[str, str], number_of: Mapping[str, int]):  # type: ignore[no-untyped-def]
    """(ids, rows of the language) sparse: 1 where the sentence of the id has the same text as the row."""
    from scipy import sparse

    text_number: dict[str, int] = {}
    text_R = np.array([text_number.setdefault(text, len(text_number)) for text in of_language.values()])
    id_R = np.array([number_of[id] for id in of_language])
    ones, rows = np.ones(len(text_R), np.int32), np.arange(len(text_R))
    text_of_id = sparse.csr_array((ones, (id_R, text_R)), shape=(len(number_of), len(text_number)))
    row_of_text = sparse.csr_array((ones, (text_R, rows)), shape=(len(text_number), len(text_R)))
    return text_of_id @ row_of_text
