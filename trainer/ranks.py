"""Which rank this process is, on which device, in which process group."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator

import torch
import torch.distributed as dist

_QUIET_SECONDS = 0.2


def rank() -> int:
    """Number of this rank; 0 without a process group."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many ranks there are; 1 without a process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def default_device() -> torch.device:
    """This rank's GPU where there is one; an empty CUDA_VISIBLE_DEVICES hides them."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def _end_group() -> None:
    """End the process group; by DeepSpeed where it knows it, which else keeps a copy for this process's next engine."""
    comm = sys.modules.get("deepspeed.comm.comm")
    (dist if comm is None or comm.cdb is None else comm).destroy_process_group()


@contextlib.contextmanager
def process_group() -> Iterator[None]:
    """Be one of the ranks that RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT describe, or the only one without them.

    A group that stands already (Ray Train starts one) is used and left alone; one that starts here ends here.
    """
    if dist.is_initialized():
        yield
        return
    backend = "nccl" if default_device().type == "cuda" else "gloo"
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group(backend)
    else:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        _end_group()
        # The group's threads live on while anything refers to it (default arguments in deepspeed.comm do), and one
        # that lets go of its last tensor while Python is ending aborts the process: seen in 5 of 30 two-rank runs on a
        # busy machine, none since. The pause lets them finish.
        time.sleep(_QUIET_SECONDS)
