"""Short keys of texts and ids: 64 bits of BLAKE2b, the same in every process.

Two different texts share a key with probability n^2 / 2^65 over n texts: below 10^-4 for 50 million.
"""

import hashlib

from retrieval.images import ImageSource, content_key


def text_key(*parts: str) -> int:
    """Key of a text, or of several in order; never 0, which stands for no text."""
    # A length before each part keeps ("a", "bc") and ("ab", "c") apart.
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return int.from_bytes(digest.digest(), "little") or 1


def image_key(image: ImageSource) -> int:
    """Key of an image's encoded content, whatever its file is called."""
    return text_key("image", content_key(image))


def order_key(id: str, seed: int) -> int:
    """Place of an id in a shuffle: the same in any reading order, another for another seed."""
    return text_key("order", str(seed), id)
