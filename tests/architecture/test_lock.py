"""`requirements.lock` names the versions of `constraints.txt`, each with the hashes of its files."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENTRY = re.compile(
    r"^([A-Za-z0-9._-]+)==([^\s;]+)(?: ;[^\\\n]*)?((?: \\\n +--hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE
)
APART = {"torch", "faiss-gpu"}
"""Not locked: torch, whose builds differ by machine, and what only the extra `gpu` needs."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {plain(name): version for name, _, version in (line.partition("==") for line in lines if "==" in line)}


def test_every_pinned_version_is_locked() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {plain(name): version for name, version, _ in ENTRY.findall(text)}
    assert len(locked) == len(re.findall(r"^[A-Za-z]", text, re.MULTILINE)), "an entry without hashes; run `make lock`"
    pinned = {name: version for name, version in constraints().items() if name not in APART}
    assert locked == pinned, "run `make lock` after a change of constraints.txt or pyproject.toml"


def test_no_place_of_download_is_named() -> None:
    for name in ("requirements.lock", "constraints.txt", "pyproject.toml"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text and "--index" not in text and "--find-links" not in text
