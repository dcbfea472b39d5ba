"""What the code is tonight: a name that changes when our code or a library that computes with it changes."""

import contextlib
import subprocess
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from cluster.fingerprint import file_sha256, fingerprint

_PACKAGES = ("cluster", "retrieval", "trainer", "jobs")
_FILES = ("*.py", "*.json")
_LIBRARIES = (
    "bm25s", "deepspeed", "numba", "numpy", "pyarrow", "ray", "safetensors", "scipy", "sentencepiece", "statsmodels",
    "tokenizers", "torch", "transformers",
)  # fmt: skip


def code_revision() -> str:
    """Fingerprint of our source files and of the versions of the libraries that compute.

    It needs no checkout: what runs in a container or in a job is what counts.
    """
    files = {
        f"{package}/{path.relative_to(folder).as_posix()}": file_sha256(path)
        for package in _PACKAGES
        for folder in _folders(package)
        for pattern in _FILES
        for path in sorted(folder.rglob(pattern))
    }
    return f"code-{fingerprint({'files': files, 'libraries': _versions()})}"


def _folders(package: str) -> list[Path]:
    spec = find_spec(package)
    return [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []


def _versions() -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def commit() -> str | None:
    """Commit of the checkout that the code was read from (with a + where files differ from it); None without one."""
    folder = _folders("jobs")[0]
    try:
        found = _git(folder, "rev-parse", "--short=12", "HEAD").strip()
        return f"{found}+" if _git(folder, "status", "--porcelain", "--untracked-files=no").strip() else found
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
        ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout
