"""Texts and images in, vectors out, in bulk; and vectors on disk.

Shape letters: N texts, D dimensions.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from cluster.errors import DataError
from cluster.logs import progress as progress_bar
from retrieval.encoder.config import Role
from retrieval.encoder.dual import DualEncoder
from retrieval.encoder.packed import MAX_TOKENS, MIN_TOKENS, PackedEncoder, is_packable
from retrieval.encoder.tokens import PAD_MULTIPLE, Tokens
from retrieval.formats.arrays import map_array
from retrieval.images import ImageSource, encoded

VECTORS_FILE = "vectors.npy"
Precision = Literal["fp32", "bf16"]


def encode_texts(
    encoder: DualEncoder,
    tokens: Tokens,
    texts: Sequence[str],
    role: Role,
    languages: Sequence[str] | None = None,
    max_tokens_per_batch: int = 16_384,
    precision: Precision = "fp32",
    progress: bool = False,
) -> np.ndarray:
    """Vectors of texts, on the device the encoder is on.

    Equal texts are encoded once. Batches are made by length and text alone, so that neither the order of the texts nor
    repeated ones among them change a bit of any vector. Under ZeRO-3 every rank must encode the same texts.

    Args:
        encoder: any mode; it is left in the mode it came in.
        tokens: its tokenizer.
        texts: N of them.
        role: whose prefix and maximum length apply.
        languages: code of each text's language; only M2M100 needs it.
        max_tokens_per_batch: positions in a batch, padding included; a longer text makes a batch of its own.
        precision: `fp32` computes in the type of the weights; `bf16` lets matrix products run in bfloat16 (vectors stay
            at a cosine of 0.9999 or more to the others).
        progress: show a bar where a person watches.

    Returns:
        float32 (N, D), each row of length 1.

    Raises:
        DataError: the languages do not go with the texts.
    """
    if languages is not None and len(languages) != len(texts):
        raise DataError(f"{len(texts)} texts but {len(languages)} languages; give one for each text")
    keys = list(zip(texts, languages or [""] * len(texts), strict=True))
    distinct = sorted(set(keys))
    ids = tokens.encode(
        [text for text, _ in distinct], role, [language for _, language in distinct] if languages is not None else None
    )
    vector_ND = np.empty((len(distinct), encoder.dimension), dtype=np.float32)
    lengths = [len(row) for row in ids]
    device = next(encoder.parameters()).device
    if device.type == "cpu":
        max_tokens_per_batch = min(max_tokens_per_batch, MAX_TOKENS)
    packed = device.type == "cpu" and sum(lengths) >= MIN_TOKENS and is_packable(encoder)
    batches = _batches(lengths, max_tokens_per_batch, 1 if packed else PAD_MULTIPLE)
    # Not inference_mode: under ZeRO-3 the weights gathered in it stay inference tensors, which breaks training.
    with _evaluating(encoder), torch.no_grad():
        encode = _packed(encoder, precision) if packed else _padded(encoder, tokens, precision, device)
        for rows in progress_bar(batches, f"encode {role}", unit="batch") if progress else batches:
            vector_ND[rows] = encode([ids[row] for row in rows]).cpu().numpy()
    row_of = {key: row for row, key in enumerate(distinct)}
    return vector_ND[[row_of[key] for key in keys]]


def encode_images(
    encoder: DualEncoder,
    images: Sequence[ImageSource],
    max_tokens_per_batch: int = 16_384,
    precision: Precision = "fp32",
    progress: bool = False,
) -> np.ndarray:
    """Vectors of images, on the device the encoder is on.

    Args:
        encoder: any mode; it is left in the mode it came in.
        images: N of them, read as they are needed.
        max_tokens_per_batch: positions in a batch; an image takes as many as it has patches.
        precision: see `encode_texts`.
        progress: show a bar where a person watches.

    Returns:
        float32 (N, D), each row of length 1.

    Raises:
        DataError: the encoder has no tower for images; or an image is missing or damaged: its file is named.
    """
    tower = encoder.image
    if tower is None:
        raise DataError("the encoder has no tower for images; set encoder.image, or evaluate on captions alone")
    vector_ND = np.empty((len(images), encoder.dimension), dtype=np.float32)
    per_batch = max(1, max_tokens_per_batch // tower.tokens_per_image)
    starts = range(0, len(images), per_batch)
    device = next(encoder.parameters()).device
    with _evaluating(encoder), torch.no_grad(), _computing(precision, device):
        for start in progress_bar(starts, "encode images", unit="batch") if progress else starts:
            pixels = [
                tower.pixels.encode(
                    encoded(image), str(image) if isinstance(image, Path) else f"image {start + number}"
                )
                for number, image in enumerate(images[start : start + per_batch])
            ]
            vectors = tower(torch.from_numpy(np.stack(pixels)).to(device))
            vector_ND[start : start + per_batch] = vectors.cpu().numpy()
    return vector_ND


def encode_side(
    encoder: DualEncoder,
    tokens: Tokens,
    texts: Sequence[str],
    images: Sequence[ImageSource | None] | None,
    role: Role,
    languages: Sequence[str],
    max_tokens_per_batch: int = 16_384,
    precision: Precision = "fp32",
    progress: bool = False,
) -> np.ndarray:
    """Vectors of a collection's queries or of its passages: texts by the text tower, images by theirs.

    Args:
        texts: (N), empty where an image stands.
        images: (N), None where a text stands; or None: all are texts.
        languages: (N) code of each text's language.

    Returns:
        float32 (N, D), in the order given. For the rest see `encode_texts` and `encode_images`.
    """
    options: tuple[int, Precision, bool] = (max_tokens_per_batch, precision, progress)
    if images is None:
        return encode_texts(encoder, tokens, texts, role, languages, *options)
    vector_ND = np.empty((len(texts), encoder.dimension), dtype=np.float32)
    image_rows = [row for row, image in enumerate(images) if image is not None]
    text_rows = [row for row, image in enumerate(images) if image is None]
    vector_ND[image_rows] = encode_images(encoder, [image for image in images if image is not None], *options)
    chosen, in_language = [texts[row] for row in text_rows], [languages[row] for row in text_rows]
    vector_ND[text_rows] = encode_texts(encoder, tokens, chosen, role, in_language, *options)
    return vector_ND


def _packed(encoder: DualEncoder, precision: Precision) -> Callable[[list[np.ndarray]], torch.Tensor]:
    return PackedEncoder(encoder, torch.bfloat16 if precision == "bf16" else torch.float32)


def _padded(
    encoder: DualEncoder, tokens: Tokens, precision: Precision, device: torch.device
) -> Callable[[list[np.ndarray]], torch.Tensor]:
    def encode(ids: list[np.ndarray]) -> torch.Tensor:
        with _computing(precision, device):
            return encoder(**{name: torch.from_numpy(array).to(device) for name, array in tokens.pad(ids).items()})

    return encode


def _batches(lengths: Sequence[int], max_tokens: int, multiple_of: int) -> list[np.ndarray]:
    """Rows by falling length, cut so that rows x width, padded to a multiple, stays within `max_tokens`."""
    # The longest first: if memory does not suffice it shows at once.
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches = []
    start = 0
    while start < len(order):
        width = -(-lengths[order[start]] // multiple_of) * multiple_of
        rows = max(1, max_tokens // max(1, width))
        batches.append(order[start : start + rows])
        start += rows
    return batches


@contextlib.contextmanager
def _evaluating(encoder: DualEncoder) -> Iterator[None]:
    """The encoder without dropout; afterwards in the mode it was in."""
    training = encoder.training
    encoder.eval()
    try:
        yield
    finally:
        encoder.train(training)


def _computing(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[object]:
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def write_vectors(folder: Path, vectors: np.ndarray) -> Path:
    """Write (N, D) vectors as float32 into a folder; the path of the file."""
    path = Path(folder) / VECTORS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.ascontiguousarray(vectors, dtype=np.float32), allow_pickle=False)
    return path


def read_vectors(folder: Path) -> np.ndarray:
    """The vectors of a folder, float32 (N, D), read-only and mapped into memory rather than read.

    Raises:
        DataError: there are none, or the file is cut short or holds something else.
    """
    path = Path(folder) / VECTORS_FILE
    vectors = map_array(path, "encode the collection again")
    if vectors.ndim != 2 or vectors.dtype != np.float32:
        found = f"{vectors.dtype} {vectors.shape}"
        raise DataError(f"{path}: holds {found}, expected float32 vectors in two dimensions")
    return vectors
