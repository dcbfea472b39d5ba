"""The quick start's hybrid arm, whole, on a real Ray head with dashboard and token, kept under an `s3:` root."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from object_stores.servers import BUCKET, CREDENTIALS, moto_server
from ray_clusters.head import BIN, Head, ray_head

from cluster.errors import EXIT_OK
from cluster.storage import ResultSet, open_result_set, open_store

pytestmark = [pytest.mark.ray, pytest.mark.distributed, pytest.mark.studies]
REPOSITORY = Path(__file__).parents[2]
CONFIG = "jobs/configs/quickstart.yaml"
ONE_ARM = "arms={hybrid: {mono: 0.5, cross: 0.5}}"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    with ray_head(cpus=4, environment={"MIXLINGUAL_STORAGE_CACHE": str(tmp_path_factory.mktemp("cache"))}) as running:
        yield running


def submitted(head: Head, command: list[str]) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "AWS_", "MIXLINGUAL_"))}
    cluster = {"RAY_API_SERVER_ADDRESS": head.url, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": head.token}
    environment = kept | CREDENTIALS | cluster | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == EXIT_OK, done.stdout + done.stderr
    return done


@pytest.mark.timeout(3600)
def test_both_ways_to_submit_end_in_the_same_results(
    head: Head, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, plain = (f"s3://{BUCKET}/{name}?endpoint={server}" for name in ("ours", "plain"))
    words = ["run", "--config", CONFIG, ONE_ARM, "--root"]
    secrets = [word for name in CREDENTIALS for word in ("--env", name)]
    done = submitted(head, [sys.executable, "-m", "jobs.cli", "submit", *secrets, "--", *words, ours])
    assert f"report: s3://{BUCKET}/ours/runs/" in done.stdout
    variables = json.dumps({"env_vars": CREDENTIALS})
    by_ray = [str(BIN / "ray"), "job", "submit", "--working-dir", ".", "--runtime-env-json", variables, "--"]
    done = submitted(head, [*by_ray, "python", "-m", "jobs.cli", *words, plain])
    assert f"report: s3://{BUCKET}/plain/runs/" in done.stdout + done.stderr

    for name, value in (CREDENTIALS | {"MIXLINGUAL_STORAGE_CACHE": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    first, second = (means(evaluations(root)) for root in (ours, plain))
    assert first == second
    trained, untrained = first["hybrid"], first["untrained"]
    assert trained["mono"] > 3 * untrained["mono"] and trained["multi"] > 3 * untrained["multi"]


def evaluations(root: str) -> dict[str, ResultSet]:
    """Retriever -> its evaluation, read back whole, as from another machine."""
    store = open_store(root)
    keys = [key.removesuffix("/COMMIT") for key in store.list("") if key.endswith("/COMMIT")]
    opened = [open_result_set(store, key) for key in keys]
    assert sum(one.name.startswith("runs/") for one in opened) == 1
    return {one.about["retriever"]: one for one in opened if one.name.startswith("evaluations/")}


def means(found: dict[str, ResultSet]) -> dict[str, dict[str, float]]:
    """Retriever -> setting -> mAP."""
    summaries: dict[str, Any] = {name: json.loads(one.path("summary.json").read_text()) for name, one in found.items()}
    return {
        name: {setting: float(of["mAP"]["mean"]) for setting, of in one["settings"].items()}
        for name, one in summaries.items()
    }
