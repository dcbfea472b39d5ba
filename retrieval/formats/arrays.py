"""Arrays in `.npy` files, read by mapping them into memory; never a pickle."""

from pathlib import Path

import numpy as np

from cluster.errors import DataError


def map_array(path: Path, again: str) -> np.ndarray:
    """The array of a file, read only.

    Args:
        again: what would do where the file cannot be used.

    Raises:
        DataError: missing, cut short, or it holds something else, such as a pickle.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: missing; {again}") from None
    except Exception as error:  # its header is parsed as Python: SyntaxError, TokenError, TypeError, MemoryError, ...
        raise DataError(f"{path}: cannot be read as an array ({error}); {again}") from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: holds an archive, expected one array; {again}")
    return array
