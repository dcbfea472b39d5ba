"""FAISS over the rows of one shard. The only door to faiss.

Shape letters: Q queries, B blocks, K best rows, C candidates, D dimensions. Inside a shard rows are counted from 0, in
the order of its segments; what goes out counts in rows of the whole set.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from cluster.errors import ConfigError, DataError
from cluster.logs import get_logger
from retrieval.index.config import IndexConfig
from retrieval.index.exact import ordered, rescored, rounding_margin, rows_at_least
from retrieval.index.joined_vectors import AnyVectors
from retrieval.index.partition import Segment
from retrieval.index.shard_gpu import LARGEST_K, builds_cagra, cagra, flat_on_gpu, on_gpu

SPARE = 16
"""Candidates beyond k that FAISS is asked for: mostly enough to prove that the k best are among them."""
MORE, MOST_ASKED = 8, 2048
"""Where many rows score nearly alike, so many times more candidates are asked for, up to a number beyond which scanning
all rows for one query is no slower."""
ROWS_AT_ONCE = 65_536
_logger = get_logger("index")
Answer = tuple[np.ndarray, np.ndarray]
"""Scores (Q, K) float32, falling, and rows (Q, K) int64; minus infinity and -1 where there are no more."""


@dataclass(frozen=True)
class Block:
    """Rows of one segment that lie in one file."""

    language: int
    first: int
    """Row of the whole set."""
    vectors: np.ndarray
    """(n, D) float32, mapped into memory."""


def segment_blocks(files: AnyVectors, segments: Sequence[Segment]) -> Iterator[Block]:
    """The rows of segments, cut where files end, so that nothing is copied."""
    for segment in segments:
        first = segment.first
        for piece in files.pieces(segment.first, segment.end):
            yield Block(segment.language, first, piece)
            first += len(piece)


class FlatShard:
    """Exact search straight over the vector files: nothing to build."""

    def __init__(self, files: AnyVectors, segments: Sequence[Segment], gpu: bool = False) -> None:
        self._blocks = list(segment_blocks(files, segments))
        self._longest = max((_longest(block.vectors) for block in self._blocks), default=0.0)
        self._on_gpu = [flat_on_gpu(block.vectors) for block in self._blocks] if gpu else None

    def search(self, queries: np.ndarray, k: int, languages: frozenset[int] | None = None) -> Answer:
        """The `k` rows of the highest inner product, exactly; equal scores by row.

        Args:
            queries: (Q, D) float32.
            languages: search only rows of these.
        """
        numbers = [n for n, block in enumerate(self._blocks) if languages is None or block.language in languages]
        if not numbers:
            return np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1, np.int64)
        asked = k + max(SPARE, k // 8)
        if self._on_gpu is not None:
            asked = max(min(asked, LARGEST_K), k + SPARE)
        return self._search(queries, k, numbers, asked)

    def _search(self, queries: np.ndarray, k: int, numbers: Sequence[int], asked: int) -> Answer:
        """Ask FAISS for more than k, decide, and ask for yet more where that does not prove the answer complete."""
        found = [self._nearest(number, queries, asked) for number in numbers]
        cut = _threshold(np.concatenate([scores for scores, _ in found], axis=1), asked)
        scores, rows = self._decide(queries, numbers, found, cut, k)
        # No row that is not among the candidates scores higher than this by FAISS.
        left_out = cut
        for number, (faiss_scores, _) in zip(numbers, found, strict=True):
            if faiss_scores.shape[1] < len(self._blocks[number].vectors):
                left_out = np.maximum(left_out, faiss_scores[:, -1])
        margin = rounding_margin(queries, self._longest)
        unproved = np.flatnonzero((left_out + margin >= scores[:, -1]) & (left_out > -np.inf))
        if not len(unproved):
            return scores, rows
        if asked * MORE <= MOST_ASKED:
            scores[unproved], rows[unproved] = self._search(queries[unproved], k, numbers, asked * MORE)
        else:
            for query in unproved:
                threshold = float(scores[query, -1] - 2 * margin[query])
                scores[query], rows[query] = self._by_scanning(queries[query], numbers, threshold, k)
        return scores, rows

    def _nearest(self, number: int, queries: np.ndarray, asked: int) -> Answer:
        block = self._blocks[number]
        count = min(asked, len(block.vectors))
        if self._on_gpu is None:
            return faiss.knn(queries, block.vectors, count, metric=faiss.METRIC_INNER_PRODUCT)
        if count > LARGEST_K:
            raise ConfigError(f"k: a GPU finds at most {LARGEST_K - SPARE} rows of a query; search on CPUs for more")
        return self._on_gpu[number].search(queries, count)

    def _decide(
        self, queries: np.ndarray, numbers: Sequence[int], found: Sequence[Answer], cut: np.ndarray, k: int
    ) -> Answer:
        """Score the candidates that reach the cut again and put them in order."""
        scores, rows = [], []
        for number, (faiss_scores, places) in zip(numbers, found, strict=True):
            block = self._blocks[number]
            candidates = np.where(faiss_scores >= cut[:, None], places, -1)
            scores.append(rescored(queries, block.vectors, candidates))
            rows.append(np.where(candidates < 0, -1, candidates + block.first))
        return ordered(np.concatenate(scores, axis=1), np.concatenate(rows, axis=1), k)

    def _by_scanning(self, query: np.ndarray, numbers: Sequence[int], threshold: float, k: int) -> Answer:
        """Where many rows are nearly equal to the last of the k best: look at all that could be among them."""
        scores, rows = [], []
        for block in (self._blocks[number] for number in numbers):
            places = rows_at_least(query, block.vectors, threshold)[None]
            scores.append(rescored(query[None], block.vectors, places))
            rows.append(places + block.first)
        best = ordered(np.concatenate(scores, axis=1), np.concatenate(rows, axis=1), k)
        return best[0][0], best[1][0]


def _longest(vectors: np.ndarray) -> float:
    """Length of the longest row."""
    squares = [
        np.einsum("nd,nd->n", part, part, dtype=np.float64).max()
        for part in (vectors[first : first + ROWS_AT_ONCE] for first in range(0, len(vectors), ROWS_AT_ONCE))
    ]
    return float(np.sqrt(max(squares)))


def _threshold(score_QC: np.ndarray, keep: int) -> np.ndarray:
    """(Q) the score of the candidate in place `keep`; minus infinity where there are no more than that."""
    if score_QC.shape[1] <= keep:
        return np.full(len(score_QC), -np.inf)
    return np.partition(score_QC, score_QC.shape[1] - keep, axis=1)[:, score_QC.shape[1] - keep].astype(np.float64)


class FaissShard:
    """Approximate search by an index file."""

    def __init__(
        self, path: Path, config: IndexConfig, files: AnyVectors, segments: Sequence[Segment], gpu: bool = False
    ) -> None:
        self._config = config
        self._segments = segments
        self._starts = np.cumsum([0, *(len(segment) for segment in segments)])
        self._blocks = list(segment_blocks(files, segments)) if config.refine else []
        self._index = _read_index(path)
        if self._index.ntotal != self._starts[-1]:
            raise DataError(
                f"{path}: holds {self._index.ntotal} rows, the shard has {self._starts[-1]}; build it again"
            )
        self._gpu = gpu
        if gpu:
            self._index = on_gpu(self._index, config)

    def search(self, queries: np.ndarray, k: int, languages: frozenset[int] | None = None) -> Answer:
        """About the `k` rows of the highest inner product; see `FlatShard.search`."""
        asked = min(k * max(self._config.refine, 1), int(self._starts[-1]))
        if self._gpu and languages is not None:
            raise ConfigError("search.gpus: only flat indexes search in some languages on a GPU; set it to 0")
        parameters = None if self._gpu else self._parameters(asked, self._selector(languages))
        scores, places = self._index.search(queries, asked, params=parameters)
        if self._config.refine:
            scores = self._rescored(queries, places)
        rows = np.where(places < 0, -1, self._rows(places))
        return ordered(np.where(places < 0, np.float32(-np.inf), scores), rows, k)

    def _rows(self, places: np.ndarray) -> np.ndarray:
        """Rows of the whole set."""
        segment = np.searchsorted(self._starts, places, side="right") - 1
        first = np.array([segment.first for segment in self._segments])
        return places - self._starts[segment] + first[segment]

    def _rescored(self, queries: np.ndarray, places: np.ndarray) -> np.ndarray:
        scores = np.full(places.shape, -np.inf, np.float32)
        start = 0
        for block in self._blocks:
            end = start + len(block.vectors)
            inside = (places >= start) & (places < end)
            found = rescored(queries, block.vectors, np.where(inside, places - start, -1))
            scores[inside] = found[inside]
            start = end
        return scores

    def _selector(self, languages: frozenset[int] | None) -> Any:
        """What lets only rows of some languages through; None lets all."""
        if languages is None:
            return None
        through = np.zeros(self._starts[-1], bool)
        for segment, first, end in zip(self._segments, self._starts, self._starts[1:], strict=False):
            through[first:end] = segment.language in languages
        return faiss.IDSelectorBitmap(np.packbits(through, bitorder="little"))

    def _parameters(self, asked: int, selector: Any) -> Any:
        index = self._index
        inner = faiss.downcast_index(index.index) if isinstance(index, faiss.IndexPreTransform) else index
        if isinstance(inner, faiss.IndexIVF):
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=self._config.probes)
        elif isinstance(inner, faiss.IndexHNSW):
            parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=max(self._config.search_width, asked))
        else:
            parameters = faiss.SearchParameters(sel=selector)
        if inner is not index:
            return faiss.SearchParametersPreTransform(index_params=parameters)
        return parameters


def learn(config: IndexConfig, sample: np.ndarray, path: Path) -> None:
    """Make the empty index that all shards start from, its clusters and codes learnt from a sample (n, D).

    Raises:
        ConfigError: FAISS cannot make such an index for these dimensions, or from so few rows.
    """
    dimension = sample.shape[1]
    factory = config.factory_string(dimension)
    try:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
        if isinstance(index, faiss.IndexHNSW):
            index.hnsw.efConstruction = config.build_width
        inverted = faiss.try_extract_index_ivf(index)
        if inverted is not None and isinstance(faiss.downcast_index(inverted), faiss.IndexIVFPQ):
            # Orders codes for comparisons by Hamming distance, which we never make: 75 of 90 s for 48 bytes.
            faiss.downcast_index(inverted).do_polysemous_training = False
        if not index.is_trained:
            index.train(np.ascontiguousarray(sample))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ConfigError(
            f"index: FAISS cannot make {factory} from {len(sample)} rows of {dimension} dimensions ({reason}); "
            "use fewer lists, other code_bytes, or another kind"
        ) from None
    faiss.write_index(index, str(path))


def fill(start: Path, files: AnyVectors, segments: Sequence[Segment], path: Path) -> None:
    """Add rows to a copy of an index: of the empty one, or of one that holds some already."""
    index = _read_index(start)
    for block in segment_blocks(files, segments):
        for first in range(0, len(block.vectors), ROWS_AT_ONCE):
            index.add(np.ascontiguousarray(block.vectors[first : first + ROWS_AT_ONCE]))
    faiss.write_index(index, str(path))


def build_graph(empty: Path, files: AnyVectors, segments: Sequence[Segment], config: IndexConfig, path: Path) -> None:
    """A graph of kind `cagra` over a shard's rows: built on the GPU where that is possible, else on CPUs as `hnsw`."""
    blocks = [block.vectors for block in segment_blocks(files, segments)]
    if builds_cagra() and blocks:
        faiss.write_index(cagra(np.concatenate(blocks), config), str(path))
        return
    _logger.info("this FAISS builds no CAGRA here (that takes cuVS and a GPU); the graph is built on CPUs, as hnsw")
    fill(empty, files, segments, path)


def use_threads(number: int) -> None:
    """Threads of FAISS in this process."""
    faiss.omp_set_num_threads(number)


def _read_index(path: Path) -> Any:
    try:
        return faiss.read_index(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise DataError(f"{path}: FAISS cannot read it ({reason}); build the index again") from None
