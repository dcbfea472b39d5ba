"""What an encoder is made of. Light to import: no torch, no transformers."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from cluster.config import Config

Role = Literal["query", "passage"]
"""Which side of the search a text stands on."""

PoolingName = Literal["cls", "mean", "last"]
"""The first token's state, the mean over all tokens, or the last token's state."""

DEFAULT_POOLING: PoolingName = "mean"


class FreshConfig(Config):
    """A small encoder from scratch, with a tokenizer trained on the texts at hand."""

    architecture: Literal["xlm_roberta", "m2m100"] = "xlm_roberta"
    """Whose layers and tokenizer: XLM-R's, or those of M2M100's encoder, which reads the language of each text."""

    layers: PositiveInt = 4
    """Transformer layers."""

    hidden: PositiveInt = 256
    """Width of the token states, and of the vectors where there is no projection."""

    heads: PositiveInt = 4
    """Attention heads; must divide `hidden`."""

    intermediate: PositiveInt = 1024
    """Width inside the feed-forward layers."""

    vocabulary: int = Field(default=16_000, ge=64)
    """Most pieces the tokenizer may have, special tokens included; little text gives fewer."""

    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Probability of every dropout: embeddings, attention, feed-forward."""

    seed: int = 0
    """Of the initial weights. The tokenizer depends on the texts alone."""

    @model_validator(mode="after")
    def _heads_divide_hidden(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is not a multiple of heads {self.heads}; change one of them")
        return self


class FreshImageConfig(Config):
    """A small vision transformer from scratch, of CLIP's or SigLIP's shape."""

    architecture: Literal["clip", "siglip"] = "clip"
    """`clip`: the state of a class token is the image's vector; `siglip`: attention pools the states of all patches."""

    layers: PositiveInt = 4
    """Transformer layers."""

    hidden: PositiveInt = 256
    """Width of the patch states."""

    heads: PositiveInt = 4
    """Attention heads; must divide `hidden`."""

    intermediate: PositiveInt = 1024
    """Width inside the feed-forward layers."""

    image_size: PositiveInt = 64
    """Height and width that images are scaled and cropped to."""

    patch_size: PositiveInt = 8
    """Height and width of a patch; must divide `image_size`."""

    seed: int = 0
    """Of the initial weights, the projection's included."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is not a multiple of heads {self.heads}; change one of them")
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}; change one of them"
            )
        return self


class ImageConfig(Config):
    """The tower for images, trained together with the one for texts and projected into its space.

    Weights are read from safetensors only, code from a model's repository is never run.
    """

    name_or_path: str | None = Field(default=None, min_length=1)
    """A folder or hub name of a CLIP or SigLIP model (its vision part is taken), or a folder of our own with an image
    tower. This or `fresh`."""

    fresh: FreshImageConfig | None = None
    """A new small tower. This or `name_or_path`."""

    revision: str | None = None
    """Branch, tag or commit of a hub model; a commit keeps runs repeatable. None = the hub's main branch."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.name_or_path is None) == (self.fresh is None):
            given = "neither" if self.fresh is None else "both"
            raise ValueError(f"give exactly one of name_or_path (existing weights) and fresh (new ones), not {given}")
        if self.revision is not None and self.fresh is not None:
            raise ValueError("revision belongs to a hub model; a fresh tower has none")
        return self


class EncoderConfig(Config):
    """One tower for queries and passages: where its weights come from, how it reads a text, what it makes of it.

    Code from a model's repository is never run and weights are read from safetensors only; no field changes that.
    """

    name_or_path: str | None = Field(default=None, min_length=1)
    """A folder with a model, or the name of one on the Hugging Face hub. This or `fresh`."""

    fresh: FreshConfig | None = None
    """A new small encoder. This or `name_or_path`."""

    revision: str | None = None
    """Branch, tag or commit of a hub model; a commit keeps runs repeatable. None = the hub's main branch."""

    pooling: PoolingName | None = None
    """How token states become one vector. None = as a sentence-transformers folder says, elsewhere `mean`."""

    projection: PositiveInt | None = None
    """Dimension of a linear layer without bias after pooling. None = none, beyond what the folder itself has."""

    max_query_tokens: int = Field(default=64, ge=8)
    """Longest query in tokens, prefix and special tokens included; the rest is cut off."""

    max_passage_tokens: int = Field(default=256, ge=8)
    """Longest passage in tokens, likewise."""

    query_prefix: str = "Query: "
    """Put before every query, as sentence-transformers does with prompts."""

    passage_prefix: str = "Passage: "
    """Put before every passage."""

    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Sets every dropout probability of the transformer. None = as the model says."""

    attention: Literal["sdpa", "eager"] = "sdpa"
    """Implementation of attention: torch's fused one, or the written-out one."""

    gradient_checkpointing: bool = False
    """Run each layer again in the backward pass instead of keeping what it computed. Training only."""

    # Left out where it is not given: encoders without images keep the fingerprints they had before there were any.
    image: ImageConfig | None = Field(default=None, exclude_if=lambda value: value is None)
    """A tower for images beside the one for texts. None = texts only."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.name_or_path is None) == (self.fresh is None):
            given = "neither" if self.fresh is None else "both"
            raise ValueError(f"give exactly one of name_or_path (existing weights) and fresh (new ones), not {given}")
        if self.revision is not None and self.fresh is not None:
            raise ValueError("revision belongs to a hub model; a fresh encoder has none")
        return self

    def max_tokens(self, role: Role) -> int:
        """Longest text of a role, in tokens."""
        return self.max_query_tokens if role == "query" else self.max_passage_tokens

    def prefix(self, role: Role) -> str:
        """What stands before every text of a role."""
        return self.query_prefix if role == "query" else self.passage_prefix
