"""Shards of an index against one FAISS index and against sorting, ties included."""

from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import ConfigError, DataError
from cluster.storage import open_store, write_result_set
from retrieval.index import shard as shard_module
from retrieval.index import vector_files as vector_files_module
from retrieval.index.build import add_to_index, build_shard, describe_index, open_shard
from retrieval.index.config import IndexConfig
from retrieval.index.exact import rounding_margin
from retrieval.index.joined_vectors import JoinedVectors
from retrieval.index.merge import merged
from retrieval.index.partition import shard_segments, training_rows
from retrieval.index.shard import FaissShard, FlatShard, build_graph, fill, learn
from retrieval.index.shard_gpu import builds_cagra
from retrieval.index.vector_files import VectorFiles, open_vector_files, write_vector_files

LANGUAGES = ("de", "en", "fr")


def coarse(rng: np.random.Generator, rows: int, dimension: int) -> np.ndarray:
    """Vectors of small eighths: every inner product is exact in float32, so equal ones are equal to the last bit."""
    return (rng.integers(-4, 5, (rows, dimension)) / 8).astype(np.float32)


def stored(folder: Path, vectors: np.ndarray, counts: tuple[int, ...] | None = None) -> VectorFiles:
    counts = counts or (len(vectors) // 4, len(vectors) // 2, len(vectors) - len(vectors) // 4 - len(vectors) // 2)
    return write_vector_files(folder, LANGUAGES[: len(counts)], counts, [vectors], vectors.shape[1])


def searched(files: VectorFiles, queries: np.ndarray, k: int, shards: int, languages: frozenset[int] | None = None):
    parts = [
        FlatShard(files, shard_segments(files.bounds, n, shards)).search(queries, k, languages) for n in range(shards)
    ]
    return merged([scores for scores, _ in parts], [rows for _, rows in parts], k)


def by_sorting(files: VectorFiles, queries: np.ndarray, k: int, languages: frozenset[int] | None = None):
    """All scores in float64, rounded once, sorted by falling score and then by row."""
    vectors = files.read(0, files.num_rows)
    scores = (queries.astype(np.float64) @ vectors.astype(np.float64).T).astype(np.float32)
    for language in range(len(files.languages)):
        if languages is not None and language not in languages:
            scores[:, files.bounds[language] : files.bounds[language + 1]] = -np.inf
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, rows, 1)
    return best, np.where(np.isneginf(best), -1, rows)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_files_module, "PART_BYTES", 4 * 16 * 100)  # 100 rows of 16 numbers


@pytest.mark.parametrize("shards", [1, 2, 7, 16])
@pytest.mark.parametrize("k", [1, 10, 300])
@pytest.mark.parametrize("languages", [None, frozenset({1}), frozenset({0, 2})])
def test_flat_shards_equal_sorting_with_many_ties(
    tmp_path: Path, small_parts: None, shards: int, k: int, languages: frozenset[int] | None
) -> None:
    rng = np.random.default_rng(1)
    vectors = coarse(rng, 1000, 16)
    vectors[rng.choice(1000, 400, replace=False)] = vectors[7]
    queries = np.concatenate([coarse(rng, 20, 16), vectors[7:8]])
    files = stored(tmp_path, vectors)
    scores, rows = searched(files, queries, k, shards, languages)
    expected_scores, expected_rows = by_sorting(files, queries, k, languages)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_array_equal(scores, expected_scores)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_real_numbers_are_ranked_alike_in_any_shards(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Vectors whose products do round: the answer is that of float64 sums, for any cut into shards."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows, dimension = data.draw(st.integers(1, 400)), data.draw(st.integers(1, 40))
    vectors = rng.standard_normal((rows, dimension)).astype(np.float32)
    nearly = rng.choice(rows, rows // 3, replace=False)
    vectors[nearly] = vectors[0] * (1 + rng.integers(-2, 3, (len(nearly), 1)) * np.float32(2**-23))
    queries = rng.standard_normal((5, dimension)).astype(np.float32)
    files = stored(tmp_path_factory.mktemp("vectors"), vectors, (rows,))
    k = data.draw(st.integers(1, 50))
    scores, found = searched(files, queries, k, data.draw(st.integers(1, 9)))
    expected_scores, expected_rows = by_sorting(files, queries, k)
    np.testing.assert_array_equal(found[:, : expected_rows.shape[1]], expected_rows)
    np.testing.assert_array_equal(scores[:, : expected_rows.shape[1]], expected_scores)
    assert (found[:, rows:] == -1).all() and np.isneginf(scores[:, rows:]).all()


def test_flat_shards_equal_one_faiss_index(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    vectors, queries = (
        rng.standard_normal((3000, 24)).astype(np.float32),
        rng.standard_normal((50, 24)).astype(np.float32),
    )
    one = faiss.IndexFlatIP(24)
    one.add(vectors)
    expected_scores, expected_rows = one.search(queries, 20)
    scores, rows = searched(stored(tmp_path, vectors), queries, 20, 3)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-6)


def test_where_ties_go_on_beyond_all_candidates_every_row_is_looked_at(tmp_path: Path) -> None:
    """5,000 equal rows: more than FAISS is ever asked for, so only scanning can put the smallest rows first."""
    vectors = np.tile(np.float32([[0.5, 0.25]]), (5000, 1))
    assert len(vectors) > shard_module.MOST_ASKED * shard_module.MORE / 8
    scores, rows = searched(stored(tmp_path, vectors, (5000,)), np.float32([[1, 1], [0, 1]]), 3, 2)
    np.testing.assert_array_equal(rows, [[0, 1, 2], [0, 1, 2]])
    np.testing.assert_array_equal(scores, [[0.75] * 3, [0.25] * 3])


def test_the_margin_covers_the_rounding_of_float32_sums() -> None:
    rng = np.random.default_rng(3)
    queries, vectors = (
        rng.standard_normal((20, 200)).astype(np.float32),
        rng.standard_normal((500, 200)).astype(np.float32),
    )
    longest = float(np.linalg.norm(vectors, axis=1).max())
    true = queries.astype(np.float64) @ vectors.astype(np.float64).T
    sums = np.zeros((20, 500), np.float32)
    for number in range(200):  # one after the other: the worst of all orders
        sums += queries[:, number : number + 1] * vectors[:, number]
    off = np.abs(sums - true).max(axis=1)
    assert (off > 0).all() and (off <= rounding_margin(queries, longest)).all()


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.integers(1, 9))
def test_shards_hold_every_row_once_and_even_slices(counts: list[int], shards: int) -> None:
    bounds = [0, *np.cumsum(counts).tolist()]
    held = [shard_segments(bounds, number, shards) for number in range(shards)]
    rows = sorted(row for segments in held for segment in segments for row in range(segment.first, segment.end))
    assert rows == list(range(bounds[-1]))
    for language, count in enumerate(counts):
        sizes = [sum(len(s) for s in segments if s.language == language) for segments in held]
        assert sum(sizes) == count and max(sizes) - min(sizes) <= 1


def test_rankings_merge_by_score_and_then_by_row() -> None:
    end = -np.inf
    scores = [np.float32([[3, 1, 1]]), np.float32([[3, 2, end]]), np.float32([[end, end, end]])]
    rows = [np.array([[5, 0, 9]]), np.array([[4, 7, -1]]), np.array([[-1, -1, -1]])]
    best_scores, best_rows = merged(scores, rows, 6)
    np.testing.assert_array_equal(best_rows, [[4, 5, 7, 0, 9, -1]])
    np.testing.assert_array_equal(best_scores, np.float32([[3, 3, 2, 1, 1, end]]))


@pytest.mark.parametrize("kind", ["fp16", "sq8", "ivf", "ivfpq", "hnsw"])
@pytest.mark.parametrize("shards", [1, 3])
def test_approximate_kinds_find_most_and_keep_to_languages(tmp_path: Path, kind: str, shards: int) -> None:
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((2000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[rng.choice(2000, 40)] + 0.05 * rng.standard_normal((40, 16)).astype(np.float32)
    files = stored(tmp_path / "vectors", vectors)
    config = IndexConfig(kind=kind, lists=16, probes=12, code_bytes=8, refine=5 if kind == "ivfpq" else 0)
    learn(config, files.rows(training_rows(2000, 1500, 0)), tmp_path / "empty")
    for languages, least in ((None, 0.85), (frozenset({0, 2}), 0.85)):
        answers = []
        for number in range(shards):
            segments = shard_segments(files.bounds, number, shards)
            fill(tmp_path / "empty", files, segments, tmp_path / f"{number}")
            answers.append(FaissShard(tmp_path / f"{number}", config, files, segments).search(queries, 10, languages))
        scores, rows = merged([s for s, _ in answers], [r for _, r in answers], 10)
        _, expected = by_sorting(files, queries, 10, languages)
        recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows, expected, strict=True)])
        assert recall >= least, f"{kind} found {recall}"
        assert (np.diff(scores, axis=1) <= 0).all()
        if languages is not None:
            assert not ((rows >= files.bounds[1]) & (rows < files.bounds[2])).any()


@pytest.mark.parametrize("kind", ["ivf", "ivfpq", "sq8", "fp16"])
def test_kinds_that_share_what_was_learnt_answer_alike_in_any_shards(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(5)
    files = stored(tmp_path / "vectors", rng.standard_normal((1500, 16)).astype(np.float32))
    queries = rng.standard_normal((30, 16)).astype(np.float32)
    config = IndexConfig(kind=kind, lists=16, probes=4, code_bytes=8)
    learn(config, files.read(0, 1500), tmp_path / "empty")
    answers = {}
    for shards in (1, 2, 5):
        parts = []
        for number in range(shards):
            segments = shard_segments(files.bounds, number, shards)
            fill(tmp_path / "empty", files, segments, tmp_path / "shard")
            parts.append(FaissShard(tmp_path / "shard", config, files, segments).search(queries, 10))
        answers[shards] = merged([s for s, _ in parts], [r for _, r in parts], 10)
    for shards in (2, 5):
        np.testing.assert_array_equal(answers[shards][1], answers[1][1])
        np.testing.assert_allclose(answers[shards][0], answers[1][0], rtol=1e-6)


def test_refined_scores_are_exact(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    files = stored(tmp_path / "vectors", rng.standard_normal((600, 16)).astype(np.float32))
    queries = rng.standard_normal((9, 16)).astype(np.float32)
    config = IndexConfig(kind="sq8", refine=4)
    learn(config, files.read(0, 600), tmp_path / "empty")
    segments = shard_segments(files.bounds, 0, 1)
    fill(tmp_path / "empty", files, segments, tmp_path / "shard")
    scores, rows = FaissShard(tmp_path / "shard", config, files, segments).search(queries, 10)
    expected_scores, expected_rows = by_sorting(files, queries, 10)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_array_equal(scores, expected_scores)


def test_a_graph_of_cagra_is_built_on_cpus_where_there_is_no_gpu(tmp_path: Path) -> None:
    """The same file as hnsw builds, or with a GPU a graph that is about as good."""
    rng = np.random.default_rng(8)
    files = stored(tmp_path / "vectors", rng.standard_normal((2000, 16)).astype(np.float32))
    queries = rng.standard_normal((30, 16)).astype(np.float32)
    config = IndexConfig(kind="cagra", search_width=400)
    segments = shard_segments(files.bounds, 0, 1)
    learn(config, files.read(0, 1000), tmp_path / "empty")
    build_graph(tmp_path / "empty", files, segments, config, tmp_path / "graph")
    _, rows = FaissShard(tmp_path / "graph", config, files, segments).search(queries, 10)
    _, expected = by_sorting(files, queries, 10)
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows, expected, strict=True)]) > 0.9
    if not builds_cagra():
        fill(tmp_path / "empty", files, segments, tmp_path / "hnsw")
        assert (tmp_path / "graph").read_bytes() == (tmp_path / "hnsw").read_bytes()


@pytest.mark.skipif(hasattr(faiss, "StandardGpuResources"), reason="this FAISS knows GPUs")
@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_a_faiss_without_gpus_says_so(tmp_path: Path, kind: str) -> None:
    files = stored(tmp_path / "vectors", np.ones((40, 4), np.float32))
    segments, config = shard_segments(files.bounds, 0, 1), IndexConfig(kind=kind, lists=1, probes=1)
    with pytest.raises(ConfigError, match="search.gpus: this is faiss-cpu; install the extra gpu"):
        if kind == "flat":
            FlatShard(files, segments, gpu=True)
        else:
            learn(config, files.read(0, 40), tmp_path / "empty")
            fill(tmp_path / "empty", files, segments, tmp_path / "shard")
            FaissShard(tmp_path / "shard", config, files, segments, gpu=True)


@pytest.mark.gpu
@pytest.mark.skipif(not hasattr(faiss, "StandardGpuResources"), reason="needs faiss-gpu")
@pytest.mark.parametrize("kind", ["flat", "ivf", "ivfpq", "fp16", "cagra"])
def test_gpu_shards_equal_cpu_shards_but_for_rounding(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(9)
    files = stored(tmp_path / "vectors", rng.standard_normal((20_000, 32)).astype(np.float32))
    queries = rng.standard_normal((100, 32)).astype(np.float32)
    segments, config = shard_segments(files.bounds, 0, 1), IndexConfig(kind=kind, lists=64, probes=16, code_bytes=8)
    if kind == "flat":
        answers = [FlatShard(files, segments, gpu).search(queries, 20) for gpu in (False, True)]
        np.testing.assert_array_equal(answers[0][1], answers[1][1])
        np.testing.assert_array_equal(answers[0][0], answers[1][0])
        return
    learn(config, files.read(0, 20_000), tmp_path / "empty")
    build_graph(tmp_path / "empty", files, segments, config, tmp_path / "shard") if kind == "cagra" else fill(
        tmp_path / "empty", files, segments, tmp_path / "shard"
    )
    answers = [
        FaissShard(tmp_path / "shard", config, files, segments, gpu).search(queries, 20) for gpu in (False, True)
    ]
    shared = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(answers[0][1], answers[1][1], strict=True)])
    assert shared > (0.8 if kind == "cagra" else 0.95)


def test_joined_vectors_read_as_one(tmp_path: Path, small_parts: None) -> None:
    rng = np.random.default_rng(10)
    first, second = coarse(rng, 250, 16), coarse(rng, 130, 16)
    joined = JoinedVectors(
        (
            write_vector_files(tmp_path / "a", ["de", "en"], [150, 100], [first], 16),
            write_vector_files(tmp_path / "b", ["en", "fr"], [30, 100], [second], 16),
        )
    )
    both = np.concatenate([first, second])
    assert joined.languages == ("de", "en", "fr") and joined.num_rows == 380
    np.testing.assert_array_equal(np.concatenate(list(joined.pieces(90, 310))), both[90:310])
    wanted = np.array([379, 0, 250, 249, 250])
    np.testing.assert_array_equal(joined.rows(wanted), both[wanted])
    held = [joined.segments(number, 3) for number in range(3)]
    languages = np.repeat([0, 1, 1, 2], [150, 100, 30, 100])
    for segment in (segment for segments in held for segment in segments):
        assert set(languages[segment.first : segment.end]) == {segment.language}
    rows = sorted(row for segments in held for part in segments for row in range(part.first, part.end))
    assert rows == list(range(380))
    queries = coarse(rng, 20, 16)
    answers = [FlatShard(joined, segments).search(queries, 10, frozenset({1})) for segments in held]
    _, found = merged([s for s, _ in answers], [r for _, r in answers], 10)
    scores = np.where(languages == 1, queries @ both.T, -np.inf)
    np.testing.assert_array_equal(found, np.argsort(-scores, axis=1, kind="stable")[:, :10])
    with pytest.raises(DataError, match=r"vectors of 4 dimensions, those they are added to .* have 16"):
        JoinedVectors((*joined.members, stored(tmp_path / "c", np.ones((8, 4), np.float32))))


@pytest.mark.parametrize("kind", ["flat", "sq8", "ivf", "hnsw", "cagra"])
def test_what_is_added_is_found_as_if_it_had_been_there(tmp_path: Path, kind: str) -> None:
    """Two sets added one after the other; ivf, sq8 and flat answer as an index of all of it with the same clusters."""
    rng = np.random.default_rng(11)
    store = open_store(tmp_path / "root")
    sizes = {"a": (["de", "en"], [300, 200]), "b": (["en"], [150]), "c": (["fr", "de"], [40, 60])}
    vectors = {name: coarse(rng, sum(counts), 16) for name, (_, counts) in sizes.items()}
    for name, (languages, counts) in sizes.items():
        with write_result_set(store, f"vectors/{name}", {}) as folder:
            write_vector_files(folder, languages, counts, [vectors[name]], 16)
    config = IndexConfig(kind=kind, lists=8, probes=8, search_width=1000)
    spec = describe_index(store, "vectors/a", "", config, 2)
    for shard in range(2):
        build_shard(spec, shard)
    for name in ("b", "c"):
        spec = add_to_index(store, spec, f"vectors/{name}", "")
    for shard in range(2):
        build_shard(spec, shard)
    both = np.concatenate(list(vectors.values()))
    queries = coarse(rng, 20, 16)
    answers = [open_shard(spec, shard).search(queries, 10) for shard in range(2)]
    scores, rows = merged([s for s, _ in answers], [r for _, r in answers], 10)
    best = -np.sort(-(queries @ both.T), axis=1)[:, :10]
    np.testing.assert_allclose(scores, best, atol=0.3 if kind == "sq8" else 1e-6)
    if kind in ("flat", "ivf"):
        np.testing.assert_array_equal(rows, np.argsort(-(queries @ both.T), axis=1, kind="stable")[:, :10])
    if kind != "flat":
        empties = list((tmp_path / "root").rglob("empty/index.faiss"))
        assert len(empties) == 1, "clusters and codes are learnt once"
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "root").rglob("*.faiss")}
        build_shard(spec, 0)
        assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "root").rglob("*.faiss")}


def test_rows_come_back_from_any_part(tmp_path: Path, small_parts: None) -> None:
    vectors = np.random.default_rng(7).standard_normal((350, 16)).astype(np.float32)
    files = write_vector_files(tmp_path, ["de", "en"], [50, 300], np.split(vectors, [1, 120, 340]), 16)
    assert files.part_rows == (100, 100, 100, 50)
    np.testing.assert_array_equal(files.read(90, 310), vectors[90:310])
    wanted = np.array([349, 0, 99, 100, 100])
    np.testing.assert_array_equal(files.rows(wanted), vectors[wanted])


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    files = stored(tmp_path, np.ones((8, 4), np.float32))
    part = tmp_path / "part-00000.npy"
    part.write_bytes(part.read_bytes()[:-8])
    with pytest.raises(DataError, match="part-00000.npy.*encode"):
        files.read(0, 8)
    np.save(part, np.ones((7, 4), np.float32))
    with pytest.raises(DataError, match=r"part-00000.npy: holds float32 \(7, 4\)"):
        files.read(0, 8)
    part.unlink()
    with pytest.raises(DataError, match=r"part-00000.npy: missing"):
        files.read(0, 8)


@pytest.mark.parametrize("found", ["{", "[]", '{"version": 1}', '{"version": 2, "dimension": 4, "languages": {"de": 8}, "part_rows": [8]}',
                                   '{"version": 1, "dimension": 4, "languages": {"de": 8}, "part_rows": [7]}'])  # fmt: skip
def test_a_description_that_cannot_be_is_refused(tmp_path: Path, found: str) -> None:
    (tmp_path / "vectors.json").write_text(found)
    with pytest.raises(DataError, match="vectors.json"):
        open_vector_files(tmp_path)


def test_vectors_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    vectors = np.ones((5, 4), np.float32)
    vectors[3, 1] = np.nan
    with pytest.raises(DataError, match="row 3 holds NaN"):
        stored(tmp_path / "a", vectors, (5,))
    with pytest.raises(DataError, match="4 vectors for 5 rows"):
        stored(tmp_path / "b", vectors[:1].repeat(4, 0), (5,))


def test_an_index_that_faiss_cannot_make_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot make IVF64,PQ7"):
        learn(
            IndexConfig(kind="ivfpq", lists=64, probes=4, code_bytes=7),
            np.ones((100, 16), np.float32),
            tmp_path / "empty",
        )
    (tmp_path / "broken").write_bytes(b"not an index")
    with pytest.raises(DataError, match=r"broken: FAISS cannot read it"):
        fill(tmp_path / "broken", stored(tmp_path / "v", np.ones((8, 4), np.float32)), (), tmp_path / "out")
