"""Real worker processes for the tests of this folder."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture
def run_workers(tmp_path: Path) -> Callable[..., list[Any]]:
    """Run a script of this folder as W ranks; gives what each wrote as JSON to the file named by REPORT."""

    def run(script: str, world: int, *arguments: str, timeout: float = 240) -> list[Any]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        reports = [tmp_path / f"{script}-{world}-{rank}.json" for rank in range(world)]
        workers = [
            subprocess.Popen(
                [sys.executable, str(HERE / script), *arguments],
                env=os.environ
                | {
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(world),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                    "OMP_NUM_THREADS": "1",
                    "CUDA_VISIBLE_DEVICES": "",
                    "PYTHONPATH": str(HERE.parent.parent),
                    "PYTHONWARNINGS": "ignore",
                    "REPORT": str(report),
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank, report in enumerate(reports)
        ]
        try:
            outputs = [worker.communicate(timeout=timeout)[0] for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
        for rank, (worker, output) in enumerate(zip(workers, outputs, strict=True)):
            assert worker.returncode == 0, f"rank {rank} of {world} ended with {worker.returncode}:\n{output}"
        return [json.loads(report.read_text()) for report in reports]

    return run
