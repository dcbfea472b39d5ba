"""Texts (and images) in, unit vectors out: one tower for queries and passages over a Hugging Face encoder.

    config.py      what an encoder is made of
    tokens.py      texts -> token ids (m2m100.py: M2M100's, with a language token per text)
    backbones.py   folder or hub name -> transformer, token ids -> token states
    pooling.py     token states -> one vector per text
    dual.py        the tower: transformer, pooling, dense layers, unit length
    packed.py      the same on CPUs, for many texts at once: with hardly any padding (buckets.py, dropout.py)
    pixels.py      images -> arrays of pixels
    vision.py      the tower for images: vision transformer, projection into the texts' space, unit length
    fresh.py       texts -> a small encoder from scratch, with its tokenizer
    modules.py     the files that tell sentence-transformers what follows the transformer
    folder.py      an encoder <-> its folder

Only the configuration is imported here; everything that needs torch is imported from its module.
"""

from retrieval.encoder.config import EncoderConfig, FreshConfig

__all__ = ["EncoderConfig", "FreshConfig"]
