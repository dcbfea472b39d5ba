"""The feeds of peers over the pairs of prepared groups, for feed.py: every batch of one kind and one pair of languages.

sentence-transformers    its multi-dataset batch sampler and its collator, texts already in memory as Python strings
mosaicml-streaming       one stream of MDS shards per pair of languages, batches from one stream at a time, the same
                         tokenizer in the collator (only where it is installed: benchmarks/peers.sh)

Both give padded tensors. Each is tried with and without worker processes, and its best figure counts.
"""

import contextlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import BatchSampler, ConcatDataset, DataLoader, Dataset, RandomSampler

from retrieval.groups import GroupSource


class Pairs(Dataset[dict[str, str]]):
    """Queries in one language and passages in another, of one source."""

    def __init__(self, queries: Sequence[str], passages: Sequence[str]) -> None:
        self._rows = [{"query": q, "passage": p} for q, p in zip(queries, passages, strict=True)]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> dict[str, str]:
        return self._rows[row]


def pairs_by_languages(source: GroupSource) -> list[Pairs]:
    """Monolingual pairs of each language, and cross-lingual ones from each language to the next."""
    columns: dict[str, list[str]] = {}
    for number in range(source.num_row_groups):
        for name, texts in source.read_row_group(number, source.text_columns).to_pydict().items():
            columns.setdefault(name, []).extend(texts)
    languages = source.languages
    chosen = [(a, a) for a in languages] + list(zip(languages, languages[1:] + languages[:1], strict=True))
    return [Pairs(columns[f"query:{a}"], columns[f"passage:{b}"]) for a, b in chosen]


def sentence_transformers_loader(folder: Path, data: Sequence[Pairs], batch: int, workers: int) -> DataLoader[Any]:
    """What its trainer makes of a dictionary of data sets: proportional sampling of whole batches, and its collator."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.sampler import ProportionalBatchSampler
    from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator

    model = SentenceTransformer(str(folder), device="cpu")
    collator = SentenceTransformerDataCollator(preprocess_fn=model.preprocess, prompts=model.prompts)
    samplers: list[Any] = [BatchSampler(RandomSampler(one), batch, drop_last=True) for one in data]
    together: Any = ConcatDataset(data)
    return DataLoader(
        together,
        batch_sampler=ProportionalBatchSampler(together, samplers),
        collate_fn=collator,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=bool(workers),
    )


def streaming_there() -> bool:
    """Whether mosaicml-streaming is installed."""
    return importlib.util.find_spec("streaming") is not None


class Collator:
    """Tokenises and pads, as a user of mosaicml-streaming would write it."""

    def __init__(self, folder: Path, max_query: int, max_passage: int) -> None:
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._most = {"query": max_query, "passage": max_passage}

    def __call__(self, rows: Sequence[dict[str, str]]) -> dict[str, Any]:
        return {
            side: self._tokenizer(
                [f"{side.title()}: {row[side]}" for row in rows],
                padding=True,
                truncation=True,
                max_length=most,
                return_tensors="pt",
            )
            for side, most in self._most.items()
        }


def streaming_loader(
    scratch: Path, collator: Collator, data: Sequence[Pairs], batch: int, workers: int
) -> DataLoader[Any]:
    """One stream per pair of languages, shuffled, each batch from one stream."""
    from streaming import base

    streams = []
    for number, pairs in enumerate(data):
        folder = scratch / f"streams-{workers}" / f"{number:03d}"  # no two data sets may read from one folder
        with base.MDSWriter(out=str(folder), columns={"query": "str", "passage": "str"}) as out:
            for row in range(len(pairs)):
                out.write(pairs[row])
        streams.append(base.Stream(local=str(folder), repeat=1))
    dataset = base.StreamingDataset(
        streams=streams, batch_size=batch, shuffle=True, batching_method="per_stream", num_canonical_nodes=1
    )
    return DataLoader(
        dataset,
        batch_size=batch,
        num_workers=workers,
        collate_fn=collator,
        drop_last=True,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=bool(workers),
    )


@contextlib.contextmanager
def endless(loader: DataLoader[Any]) -> Iterator[Iterator[Any]]:
    """Batches of a loader, epoch after epoch."""

    def batches() -> Iterator[Any]:
        while True:
            yield from loader

    found = batches()
    try:
        yield found
    finally:
        found.close()
