"""The GPU forms of FAISS's indexes: what there is of them depends on how FAISS was built, so it is asked first."""

from typing import Any

import faiss
import numpy as np

from cluster.errors import ConfigError
from cluster.logs import get_logger
from retrieval.index.config import IndexConfig

LARGEST_K = 2048
_logger = get_logger("index")


def flat_on_gpu(vectors: np.ndarray) -> Any:
    """An exact index of vectors (n, D) on the GPU.

    Raises:
        ConfigError: this FAISS, or this machine, has none.
    """
    _require_gpu()
    index = faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    return index


def on_gpu(index: Any, config: IndexConfig) -> Any:
    """A copy of an index on the GPU, ready to be searched.

    Raises:
        ConfigError: this FAISS, or this machine, has none; or the kind has no GPU form.
    """
    _require_gpu()
    try:
        copy = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ConfigError(
            f"index.kind: {config.factory or config.kind} has no GPU form in this FAISS ({reason}); "
            "set search.gpus to 0"
        ) from None
    if "IVF" in config.factory_string(index.d):
        faiss.GpuParameterSpace().set_index_parameter(copy, "nprobe", config.probes)
    return copy


def builds_cagra() -> bool:
    """Whether this FAISS builds CAGRA's graphs (it does with cuVS), and a GPU is there for it."""
    return "CUVS" in faiss.get_compile_options() and faiss.get_num_gpus() > 0


def cagra(vectors: np.ndarray, config: IndexConfig) -> Any:
    """CAGRA's graph over vectors (n, D), built on the GPU, in the form that is stored: searched on CPUs as HNSW is."""
    graph = faiss.GpuIndexCagraConfig()
    graph.graph_degree, graph.intermediate_graph_degree = config.neighbours, 2 * config.neighbours
    graph.build_algo = faiss.graph_build_algo_NN_DESCENT
    index = faiss.GpuIndexCagra(faiss.StandardGpuResources(), vectors.shape[1], faiss.METRIC_INNER_PRODUCT, graph)
    index.train(np.ascontiguousarray(vectors))
    return faiss.index_gpu_to_cpu(index)


def _require_gpu() -> None:
    if not hasattr(faiss, "StandardGpuResources"):
        raise ConfigError("search.gpus: this is faiss-cpu; install the extra gpu, or set it to 0 to search on CPUs")
    if not faiss.get_num_gpus():
        raise ConfigError("search.gpus: FAISS finds no GPU in this process; set it to 0 to search on CPUs")
