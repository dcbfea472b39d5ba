"""Files that readers once stumbled over, and hostile ones made by hand; each is refused in one line, and soon."""

import json
from pathlib import Path

import pytest
from fuzz.encoders import write_encoder
from fuzz.stored import NAME, recommit, store_with
from fuzz.targets import all_targets, execute
from fuzz.texts import LONG

from cluster.config import parse_yaml
from cluster.errors import ConfigError, DataError
from cluster.logs import one_line, visible
from cluster.storage import open_result_set, open_store
from cluster.storage.lease import FOLDER, acquire_lease

TARGETS = all_targets()
DEEP = b"[" * 100_000
JSON_READERS = (
    "json_lines", "groups_long", "squad", "manifest", "s3_commit", "lease", "night", "night_note", "prune_note", "groups_json",
    "vectors_json", "ledger", "throughput", "telemetry", "summary", "modules_json", "pooling_json", "dense_json", "pixels_json",
    "encoder_json", "checkpoint_state",
)  # fmt: skip


@pytest.mark.parametrize("name", JSON_READERS)
@pytest.mark.parametrize("deep", [DEEP, b'{"a":' * 100_000], ids=["lists", "objects"])
def test_deeply_nested_json_is_refused(name: str, deep: bytes, tmp_path: Path) -> None:
    execute(TARGETS[name], deep, tmp_path)  # read or refused, but never a RecursionError


@pytest.mark.parametrize("key", ["id", "p", "language"])
def test_half_a_surrogate_pair_in_an_id_is_refused(key: str, tmp_path: Path) -> None:
    line = json.dumps(LONG[0] | {key: "a\ud800"}).encode()
    assert not execute(TARGETS["groups_long"], line, tmp_path)
    assert execute(TARGETS["groups_long"], json.dumps(LONG[0] | {"query": "a\ud800"}).encode(), tmp_path)  # dropped


@pytest.mark.parametrize("stray", ["3", "²", "00000000000x", "0000000000031"])
def test_a_stray_file_among_leases_is_passed_over(stray: str, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.write_bytes(f"{FOLDER}/nightly/{stray}", b"{}")
    lease = acquire_lease(store, "nightly")  # it once waited for ever here
    lease.release()
    assert lease.token == 1


@pytest.mark.parametrize("seconds", [-1, 0, 1e308, "60", None, [1]])
def test_a_lease_of_impossible_length_is_none(seconds: object, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fields = {"holder": "x", "seconds": seconds, "beats": 0, "released": False}
    store.write_bytes(f"{FOLDER}/nightly/000000000001", json.dumps(fields).encode())
    with pytest.raises(DataError, match="not a lease"):
        acquire_lease(store, "nightly")


def test_entities_and_aliases_are_not_expanded(tmp_path: Path) -> None:
    lines = [
        "a: &a [x, x]",
        *(f"{new}: &{new} [*{old}, *{old}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)),
    ]
    with pytest.raises(ConfigError, match="aliases"):
        parse_yaml("\n".join(lines), "bomb")
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE t [<!ENTITY l0 "lol">{entities}]><tmx><body><tu>&l11;</tu></body></tmx>'
    assert not execute(TARGETS["data_tico_19_tmx"], b"\0" + bomb.encode(), tmp_path)


@pytest.mark.parametrize("depth", ["[", "{a: ", "- ", "? "])
def test_deeply_nested_yaml_is_refused(depth: str) -> None:
    with pytest.raises(ConfigError):
        parse_yaml(depth * 50_000, "deep")


def test_a_manifest_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    store = store_with(tmp_path, NAME, {}, {"a.txt": b"a"})
    place = tmp_path / "root" / NAME
    for path in ("../x", "/etc/passwd", "a/../../x", "a\\..\\x", "\0", ".staging/x"):
        files = {path: {"bytes": 1, "sha256": ""}}
        (place / "manifest.json").write_text(json.dumps({"version": 1, "about": {}, "files": files}))
        recommit(place)
        with pytest.raises(DataError, match="not a manifest"):
            open_result_set(store, NAME, verify=False)


def test_sizes_are_held_against_the_weights_before_memory_is_taken(tmp_path: Path) -> None:
    from retrieval.encoder.modules import read_modules

    write_encoder(tmp_path / "e")
    path = tmp_path / "e" / "2_Dense" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"in_features": 2**20, "out_features": 2**20}))
    with pytest.raises(ConfigError, match="1048576 x 1048576"):
        read_modules(tmp_path / "e")


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert visible("ok ä 日 \t") == "ok ä 日 \t"
    assert visible("\x1b[2J\u202eabc\ud800\0") == "\\x1b[2J\\u202eabc\\ud800\\x00"
    assert visible("\u2066x\u2069\u200bé") == "\\u2066x\\u2069\\u200bé"
    assert len(one_line("x" * 10**7)) < 2100
