"""Small files that stand for very much: time and memory of their readers are bounded. Each in a process of its own."""

import gzip
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

REPOSITORY = Path(__file__).parents[2]
# Prints what the reader said, megabytes that reading took at most, and seconds of processor time.
PROBE = """
import re, sys, time
from pathlib import Path
from cluster.errors import MixlingualError
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.parquet import read_parquet
from retrieval.formats.lines import read_lines
from retrieval.images import decoded
kind, path = sys.argv[1], Path(sys.argv[2])

def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

before, start, said = peak(), time.process_time(), "read"
try:
    if kind == "image":
        decoded(path.read_bytes(), str(path))
    else:
        records = {"lines": read_lines, "jsonl": read_jsonl, "parquet": lambda p: read_parquet(p, ["id"])}[kind](path)
        for number, record in enumerate(records):
            if number == 3000:
                break
except MixlingualError as error:
    said = str(error)
print((peak() - before) >> 10, time.process_time() - start, said)
"""


def read(kind: str, path: Path) -> tuple[int, float, str]:
    """Megabytes, seconds of processor time, and what was said."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, kind, str(path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True
    )
    megabytes, seconds, said = done.stdout.strip().split(" ", 2)
    return int(megabytes), float(seconds), said


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.txt.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(600):
            file.write(bytes(1 << 20))
    megabytes, seconds, said = read("lines", path)
    assert path.stat().st_size < 4 << 20 and "line 1: longer than 256 MiB" in said
    assert megabytes < 1000 and seconds < 30


def test_a_line_of_100_megabytes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"id": "a", "text": "x" * 100_000_000}) + "\n")
    megabytes, seconds, said = read("jsonl", path)
    assert said == "read" and megabytes < 600 and seconds < 20


def test_one_text_in_every_row_does_not_fill_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    same = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int32()), pa.array(["x" * 1_000_000]))
    pq.write_table(pa.table({"id": same}), path)
    megabytes, seconds, said = read("parquet", path)
    assert path.stat().st_size < 1 << 20 and said == "read"  # a terabyte of text
    assert megabytes < 900 and seconds < 30


def test_rows_that_are_only_declared_are_missed(tmp_path: Path) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [str(number) for number in range(10)]}), sink, write_statistics=False)
    whole = sink.getvalue()
    for place in [at for at in range(len(whole) - 200, len(whole) - 8) if whole[at] == 20]:  # 10 as thrift writes it
        path = tmp_path / f"{place}.parquet"
        path.write_bytes(whole[:place] + b"\xfe\xff\xff\xff\x7f" + whole[place + 1 :])
        megabytes, seconds, _ = read("parquet", path)
        assert megabytes < 600 and seconds < 20


@pytest.mark.parametrize("side", [60_000, 100_000])
def test_an_image_is_measured_before_it_is_unpacked(tmp_path: Path, side: int) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path = tmp_path / "bomb.png"
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    row = zlib.compress(bytes(1 << 24), 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", row) + chunk(b"IEND", b""))
    megabytes, seconds, said = read("image", path)
    assert "would unpack to over" in said and megabytes < 200 and seconds < 10


def test_an_archive_is_measured_by_what_it_unpacks_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cluster.errors import WorkError
    from retrieval import download
    from retrieval.datasets.origins import RemoteFile

    monkeypatch.setattr(download, "MAX_UNPACKED_BYTES", 1 << 20)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(10):
            archive.writestr(f"{number}.txt", bytes(300_000))
    (tmp_path / "in").mkdir()
    with pytest.raises(WorkError, match="unpacks to more than"):
        download.unpack(path, RemoteFile(url="https://x/y", path="y", unpack="zip"), tmp_path / "in")
    assert sum(file.stat().st_size for file in (tmp_path / "in").iterdir()) <= 1 << 20
