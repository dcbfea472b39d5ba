"""What a root has to look like, whatever happened to those who wrote it."""

from pathlib import Path

from cluster.storage import open_result_set, open_store
from cluster.storage.result_set import COMMIT


def assert_whole(root: Path) -> list[str]:
    """Every result set can be read with its checksums; their names."""
    store = open_store(root)
    names = sorted(str(path.parent.relative_to(root)) for path in root.rglob(COMMIT) if ".staging" not in path.parts)
    for name in names:
        open_result_set(store, name)
    return names
