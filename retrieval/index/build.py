"""Vectors of a result set -> index files, each a result set of its own, named by a fingerprint of its inputs.

indexes/<fingerprint>/empty            learnt once from a sample, for any number of shards
indexes/<fingerprint>/00000-of-00002   one shard's rows added to it

A shard that is there is not built again; the flat kind searches the vector files themselves and builds nothing. Vectors
can be added to an index that is there: each of its shards is copied and takes its slice of the new rows, which come
after all others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.config import to_plain
from cluster.errors import DataError
from cluster.fingerprint import fingerprint
from cluster.logs import get_logger
from cluster.storage import Store, open_result_set, open_store, result_set_exists, write_result_set
from retrieval.index.config import IndexConfig
from retrieval.index.joined_vectors import AnyVectors, JoinedVectors
from retrieval.index.partition import training_rows
from retrieval.index.vector_files import DESCRIPTION, open_vector_files

if TYPE_CHECKING:
    from retrieval.index.shard import FaissShard, FlatShard

VERSION = 1
INDEX_FILE = "index.faiss"
_ASKED_ONLY_IN_SEARCH = ("probes", "search_width", "refine")
_logger = get_logger("index")


@dataclass(frozen=True)
class IndexSpec:
    """Everything an index is made of; travels to every shard."""

    root: str
    """URI of the store."""
    vectors: str
    """Result set that holds the vectors."""
    folder: str
    """Folder of the vectors inside it; "" for the set itself."""
    files: Mapping[str, Any]
    """Names and checksums of the vector files."""
    config: IndexConfig
    num_shards: int
    base: "IndexSpec | None" = None
    """The index that these vectors are added to; its rows come first."""

    @cached_property
    def name(self) -> str:
        """What its files are kept under."""
        deciding = {name: v for name, v in to_plain(self.config).items() if name not in _ASKED_ONLY_IN_SEARCH}
        identity: dict[str, Any] = {"version": VERSION, "files": self.files, "config": deciding}
        if self.base is not None:
            identity["base"] = self.base.name
        return f"indexes/{fingerprint(identity)}"

    def shard_name(self, shard: int) -> str:
        """Result set of one shard."""
        return f"{self.name}/{shard:05d}-of-{self.num_shards:05d}"

    def vector_files(self, store: Store) -> AnyVectors:
        """The vectors, on this machine; their checksums have been looked at when the index was described."""
        folder = open_result_set(store, self.vectors, verify=False).folder / self.folder
        own = open_vector_files(folder, store.uri)
        if self.base is None:
            return own
        before = self.base.vector_files(store)
        return JoinedVectors((*(before.members if isinstance(before, JoinedVectors) else (before,)), own))


def describe_index(store: Store, vectors: str, folder: str, config: IndexConfig, num_shards: int) -> IndexSpec:
    """The index of the vectors in a result set, whose checksums are looked at here, once for all shards.

    Raises:
        DataError: there are no such vectors, or a file of them is missing or damaged; it is named.
    """
    result = open_result_set(store, vectors)
    prefix = f"{folder}/" if folder else ""
    if f"{prefix}{DESCRIPTION}" not in result.files:
        raise DataError(f"{result.folder / folder}: holds no {DESCRIPTION}; encode the collection again")
    files = {name: facts for name, facts in result.files.items() if name.startswith(prefix)}
    return IndexSpec(store.uri, vectors, folder, files, config, num_shards)


def add_to_index(store: Store, base: IndexSpec, vectors: str, folder: str) -> IndexSpec:
    """An index with the vectors of another result set besides: the rows of `base`, then those.

    Clusters and codes stay as they were learnt; when the vectors have changed much, describe a new index.

    Raises:
        DataError: there are no such vectors, a file of them is damaged, or their dimensions are others.
    """
    added = replace(describe_index(store, vectors, folder, base.config, base.num_shards), base=base)
    added.vector_files(store)
    return added


def build_empty(spec: IndexSpec) -> Path:
    """The index before it holds a row: learnt now if it is not there."""
    from retrieval.index.shard import learn

    if spec.base is not None:
        return build_empty(spec.base)
    store, name = open_store(spec.root), f"{spec.name}/empty"
    if not result_set_exists(store, name):
        files = spec.vector_files(store)
        rows = training_rows(files.num_rows, spec.config.training_rows, spec.config.seed)
        _logger.info("learning %s from %d rows", spec.config.factory_string(files.dimension), len(rows))
        with write_result_set(store, name, _about(spec, "empty")) as folder:
            learn(spec.config, files.rows(rows), folder / INDEX_FILE)
    return open_result_set(store, name).path(INDEX_FILE)


def build_shard(spec: IndexSpec, shard: int) -> None:
    """Build one shard's file, if it is not there; nothing for the flat kind.

    A graph built by CAGRA takes no rows, so of that kind additions are built anew.
    """
    store, name = open_store(spec.root), spec.shard_name(shard)
    if spec.config.exact or result_set_exists(store, name):
        return
    from retrieval.index.shard import build_graph, fill

    files = spec.vector_files(store)
    segments = files.segments(shard, spec.num_shards)
    if spec.base is not None and spec.config.kind != "cagra":
        build_shard(spec.base, shard)
        start = open_result_set(store, spec.base.shard_name(shard)).path(INDEX_FILE)
        segments = segments[len(spec.base.vector_files(store).segments(shard, spec.num_shards)) :]
    else:
        start = build_empty(spec)
    with write_result_set(store, name, _about(spec, shard)) as folder:
        if spec.config.kind == "cagra":
            build_graph(start, files, segments, spec.config, folder / INDEX_FILE)
        else:
            fill(start, files, segments, folder / INDEX_FILE)


def open_shard(spec: IndexSpec, shard: int, gpu: bool = False) -> "FlatShard | FaissShard":
    """One shard, ready to search; its file is checked.

    Raises:
        DataError: it has not been built, or a file is missing or damaged.
    """
    from retrieval.index.shard import FaissShard, FlatShard

    store = open_store(spec.root)
    files = spec.vector_files(store)
    segments = files.segments(shard, spec.num_shards)
    if spec.config.exact:
        return FlatShard(files, segments, gpu)
    path = open_result_set(store, spec.shard_name(shard)).path(INDEX_FILE)
    return FaissShard(path, spec.config, files, segments, gpu)


def _about(spec: IndexSpec, part: str | int) -> dict[str, Any]:
    about: dict[str, Any] = {"stage": "index", "vectors": spec.vectors, "config": to_plain(spec.config), "part": part}
    if spec.base is not None:
        about["base"] = [f"{spec.base.name}/empty", spec.base.shard_name(0), spec.base.vectors]
    return about
