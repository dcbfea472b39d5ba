"""Files that libraries decode: Parquet, vectors, safetensors, images, archives; and the JSON that goes with them."""

import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fuzz.targets import Target
from fuzz.texts import LONG, take_in

from retrieval import groups as groups_module
from retrieval.datasets.generic import GenericConfig, LongColumns, read_groups
from retrieval.datasets.origins import RemoteFile
from retrieval.dictionary import DICTIONARY_FILE, read_dictionary
from retrieval.download import unpack
from retrieval.evaluate import PER_QUERY, PER_QUERY_BIAS, SUMMARY, read_evaluation
from retrieval.group_tokens import DESCRIPTION as TOKENS
from retrieval.group_tokens import open_group_tokens
from retrieval.groups import GROUPS_FILE, open_groups
from retrieval.images import decoded
from retrieval.index.vector_files import DESCRIPTION, open_vector_files, part_name, write_vector_files
from retrieval.preparation.shards import write_shards
from retrieval.records import Group, Pair
from retrieval.report.arms import Arm
from retrieval.report.inputs import read_arm, read_ledger, read_telemetry
from retrieval.throughput import THROUGHPUT
from retrieval.token_files import TokenWriter, open_tokens

GROUPS = [
    Group(f"g/{number}", {code: Pair(f"q{number}", f"p{number}", ("n",)) for code in ("de", "en")}, f"p/{number}")
    for number in range(5)
]


def _long_table() -> pa.Table:
    rows = [row | {"id": str(row["id"]), "neg": row["neg"] or [], "p": None} for row in LONG]
    return pa.Table.from_pylist(rows, schema=pa.schema(
        {"id": pa.string(), "language": pa.string(), "query": pa.string(), "passage": pa.string(),
         "neg": pa.list_(pa.string()), "p": pa.int64()}
    ))  # fmt: skip


def parquet_bytes(table: pa.Table, **options: object) -> bytes:
    """The table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def _parquet(data: bytes, folder: Path) -> None:
    path = folder / "x.parquet"
    path.write_bytes(data)
    take_in(read_groups(GenericConfig(path=path, long=LongColumns(negatives="neg"), passage_id="p")), folder)


def _parquet_seeds() -> list[bytes]:
    table = _long_table()
    return [parquet_bytes(table), parquet_bytes(table, compression="zstd", row_group_size=2, write_statistics=False)]


def groups_folder(folder: Path) -> Path:
    """Prepared groups below a folder; made once."""
    place = folder / "groups"
    if not (place / GROUPS_FILE).exists():
        place.mkdir()
        shards = write_shards(place, "s", GROUPS, ["de", "en"], True, 2, 4)
        source = {
            "name": "s", "dataset": "g", "languages": ["de", "en"], "num_groups": 5, "has_negatives": True,
            "shards": shards,
        }  # fmt: skip
        document = {"version": 1, "row_group_rows": 2, "sources": [source]}
        (place / GROUPS_FILE).write_text(json.dumps(document), encoding="utf-8")
        (place / "whole").write_bytes((place / shards[0]["file"]).read_bytes())
    return place


def _groups_json(data: bytes, folder: Path) -> None:
    place = groups_folder(folder)
    whole = (place / GROUPS_FILE).read_bytes()
    try:
        (place / GROUPS_FILE).write_bytes(data)
        for source in open_groups(place).sources:
            for shard in source.shards:
                assert shard.path.resolve().is_relative_to(place.resolve()), f"{shard.path} leaves the folder"
            next(source.iter_groups(), None)
    finally:
        (place / GROUPS_FILE).write_bytes(whole)


def _groups_parquet(data: bytes, folder: Path) -> None:
    place = groups_folder(folder)
    (place / "s" / "part-00000.parquet").write_bytes(data)
    groups_module._read_metadata.cache_clear()  # the clock of a file is too coarse for so many files a second
    list(open_groups(place).iter_groups())


def _seed_of(make, relative: str) -> list[bytes]:  # type: ignore[no-untyped-def]
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        return [(make(Path(name)) / relative).read_bytes()]


def vectors_folder(folder: Path) -> Path:
    """Files of vectors below a folder; made once."""
    place = folder / "vectors"
    if not (place / "whole").exists():
        blocks = [np.arange(12, dtype=np.float32).reshape(4, 3)]
        write_vector_files(place, ["de", "en"], [1, 3], blocks, 3)
        for name in (DESCRIPTION, part_name(0)):
            shutil.copy(place / name, place / f"{name}.whole")
        (place / "whole").touch()
    return place


def _vectors_json(data: bytes, folder: Path) -> None:
    place = vectors_folder(folder)
    (place / DESCRIPTION).write_bytes(data)
    vectors = open_vector_files(place)
    if vectors.num_rows:
        vectors.read(0, min(vectors.num_rows, 4))
        vectors.rows(np.array([0]))


def _vectors_part(data: bytes, folder: Path) -> None:
    place = vectors_folder(folder)
    (place / part_name(0)).write_bytes(data)
    vectors = open_vector_files(place)
    vectors.read(0, 4).sum()
    vectors.rows(np.array([3, 0])).sum()


def _tokens_folder(folder: Path) -> Path:
    place = folder / "tokens"
    if not (place / "whole").exists():
        place.mkdir()
        with TokenWriter(place / "part", 100) as writer:
            writer.add([np.arange(3), np.arange(2)])
        source = {"name": "s", "languages": ["de", "en"], "has_negatives": False, "part_rows": [2, 1]}
        document = {"version": 1, "tokens": "abc", "sources": [source]}
        (place / TOKENS).write_text(json.dumps(document))
        (place / "whole").touch()
    return place


def _tokens_json(data: bytes, folder: Path) -> None:
    place = _tokens_folder(folder)
    (place / TOKENS).write_bytes(data)
    open_group_tokens(place)


def _token_ids(data: bytes, folder: Path) -> None:
    place = _tokens_folder(folder)
    (place / "part.bounds.npy").write_bytes(data)
    open_tokens(place / "part").pieces(np.array([0]))


def _image(data: bytes, folder: Path) -> None:
    decoded(data, "an image")


def image_seeds() -> list[bytes]:
    from PIL import Image

    found = []
    for mode, form in (("RGB", "JPEG"), ("RGBA", "PNG"), ("P", "GIF"), ("RGB", "WEBP"), ("RGB", "BMP"), ("LA", "PNG")):
        sink = io.BytesIO()
        Image.new(mode, (9, 7)).save(sink, form)
        found.append(sink.getvalue())
    return found


def _archive(form: str):  # type: ignore[no-untyped-def]
    def read(data: bytes, folder: Path) -> None:
        inside = folder / "inside"
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir()
        before = {path for path in folder.rglob("*") if inside not in path.parents}
        path = folder / "archive"
        path.write_bytes(data)
        try:
            unpack(path, RemoteFile(url="https://x/y", path="y", sha256="", unpack=form, strip=0), inside)
        finally:
            path.unlink(missing_ok=True)
            strangers = {p for p in folder.rglob("*") if inside not in p.parents} - before
            assert not strangers, f"written outside: {strangers}"

    return read


def _zips() -> list[bytes]:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a/b.txt", "../c.txt", "/d.txt"):
            archive.writestr(zipfile.ZipInfo(name), b"text" * 9)
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a/b.txt"), b"text")
    return [plain.getvalue(), sink.getvalue()]


def _tars() -> list[bytes]:
    found = []
    for names in (("a/b.txt",), ("a/b.txt", "../c.txt"), ("/d.txt",)):
        sink = io.BytesIO()
        with tarfile.open(fileobj=sink, mode="w") as archive:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = 4
                archive.addfile(info, io.BytesIO(b"text"))
        found.append(sink.getvalue())
    return found


SUMMARY_FIELDS = {
    "collection": "test", "num_queries": 2, "num_passages": 2, "languages": ["de", "en"],
    "settings": {"mono": {"mAP": {"mean": 0.5, "low": 0.4, "high": 0.6}}},
    "pairs": [], "bias": {"rank_distance": {"mean": 3.0, "low": 1.0, "high": 5.0}},
}  # fmt: skip
TELEMETRY = [
    {"event": "step", "step": 1, "loss": 0.5, "accuracy": 0.1, "kind": "mono", "source": "s", "learning_rate": 1e-5,
     "grad_norm": 1.0, "data_wait_seconds": 0.1, "step_seconds": 1.0},
    {"event": "validation", "step": 1, "mono": {"mAP": 0.5}, "rank_distance": 3.0},
]  # fmt: skip


LEDGER = {
    "steps": 4, "batch": 8, "kinds": {"mono": {"share": "1/2", "count": 2}}, "languages": {"mono": {"en": 3}},
    "pairs": {"cross": [["de", "en", 3]]}, "sources": {"s": {"share": "1", "count": 4}},
    "largest_prefix_deviation": 0.5,
}  # fmt: skip
SPEED = {
    "queries_per_second": 10.0, "passages_per_second": 9.5, "latency_ms": {"encode": {"p50": 1.0}}, "queries": 3,
    "passages": 3, "passages_searched": 3, "machine": {"cores": 2},
}  # fmt: skip


def _telemetry(data: bytes, folder: Path) -> None:
    path = folder / "telemetry.jsonl"
    path.write_bytes(data)
    read_telemetry(path)


def _ledger(data: bytes, folder: Path) -> None:
    path = folder / "ledger.json"
    path.write_bytes(data)
    read_ledger(path)


def _summary(data: bytes, folder: Path) -> None:
    (folder / SUMMARY).write_bytes(data)
    read_arm(Arm(name="x", role="baseline", evaluations={"test": folder}))


def _throughput(data: bytes, folder: Path) -> None:
    (folder / SUMMARY).write_text(json.dumps(SUMMARY_FIELDS))
    (folder / THROUGHPUT).write_bytes(data)
    read_arm(Arm(name="x", role="baseline", evaluations={"test": folder}, throughput={"test": folder}))


def _bias_parquet(data: bytes, folder: Path) -> None:
    (folder / SUMMARY).write_text(json.dumps(SUMMARY_FIELDS))
    (folder / PER_QUERY).write_bytes(data)
    (folder / PER_QUERY_BIAS).write_bytes(data)
    read_evaluation(folder)
    read_arm(Arm(name="x", role="baseline", evaluations={"test": folder}))


def _dictionary(data: bytes, folder: Path) -> None:
    (folder / DICTIONARY_FILE).write_bytes(data)
    dictionary = read_dictionary(folder)
    dictionary.translation("house", "en", "de")
    dictionary.targets("en")


def _dictionary_seed() -> bytes:
    row = {
        "source_language": "en",
        "target_language": "de",
        "word": "house",
        "translation": "Haus",
        "texts": 3,
        "score": 11.0,
    }
    from retrieval.dictionary import _SCHEMA

    return parquet_bytes(pa.Table.from_pylist([row], schema=_SCHEMA), compression="zstd")


def _bias_seed() -> bytes:
    return parquet_bytes(pa.Table.from_pylist([{"query_language": "en", "query_id": "q", "rank_distance": 3.0}]))


TARGETS = (
    Target("parquet", _parquet, _parquet_seeds, cost=25),
    Target("groups_json", _groups_json, lambda: _seed_of(groups_folder, GROUPS_FILE), cost=25),
    Target("groups_parquet", _groups_parquet, lambda: _seed_of(groups_folder, "s/part-00000.parquet"), cost=30),
    Target("vectors_json", _vectors_json, lambda: _seed_of(vectors_folder, DESCRIPTION), cost=4),
    Target("vectors_part", _vectors_part, lambda: _seed_of(vectors_folder, part_name(0)), cost=5),
    Target("tokens_json", _tokens_json, lambda: _seed_of(_tokens_folder, TOKENS), cost=4),
    Target("token_bounds", _token_ids, lambda: _seed_of(_tokens_folder, "part.bounds.npy"), cost=5),
    Target("image", _image, image_seeds, cost=4),
    Target("zip", _archive("zip"), _zips, cost=10),
    Target("tar", _archive("tar"), _tars, cost=10),
    Target("ledger", _ledger, lambda: [json.dumps(LEDGER).encode()], cost=2),
    Target("throughput", _throughput, lambda: [json.dumps(SPEED).encode()], cost=5),
    Target("telemetry", _telemetry, lambda: ["\n".join(map(json.dumps, TELEMETRY)).encode() + b"\n"], cost=2),
    Target("summary", _summary, lambda: [json.dumps(SUMMARY_FIELDS).encode()], cost=3),
    Target("bias_parquet", _bias_parquet, lambda: [_bias_seed()], cost=60),
    Target("dictionary", _dictionary, lambda: [_dictionary_seed()], cost=20),
)
