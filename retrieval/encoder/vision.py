"""The tower for images: CLIP's or SigLIP's vision transformer, projected into the texts' space, unit length.

Its part of an encoder's folder, `image/`, is a folder of transformers itself, with the projection beside it:

    config.json, model.safetensors     the vision transformer
    preprocessor_config.json           how images become arrays
    projection.safetensors             the linear layer after it

Like backbones.py a door to transformers: vision models are other classes, with other inputs and other files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from cluster.documents import parse_json
from cluster.errors import ConfigError
from retrieval.encoder.backbones import (
    find_folder,
    load_whole,
    one_line,
    quiet,
    refuse_other_weights,
    save_backbone,
    set_dropout,
    switch_checkpointing_on,
)
from retrieval.encoder.config import EncoderConfig, FreshImageConfig
from retrieval.encoder.dual import IDENTITY, Dense
from retrieval.encoder.fresh import drawn_with
from retrieval.encoder.pixels import Pixels, read_pixels, write_pixels

if TYPE_CHECKING:
    from transformers import PreTrainedModel

IMAGE_FOLDER = "image"
_PROJECTION_FILE = "projection.safetensors"
_PROJECTION_SEED = 0
"""Of a new projection on existing weights."""

_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_KINDS = {
    "clip": "clip_vision_model",
    "clip_vision_model": "clip_vision_model",
    "siglip": "siglip_vision_model",
    "siglip_vision_model": "siglip_vision_model",
}
"""model_type in config.json -> that of its vision part."""

_PROCESSORS = {"clip_vision_model": "CLIPImageProcessor", "siglip_vision_model": "SiglipImageProcessor"}


class ImageTower(nn.Module):
    """Pixels in, unit vectors in the texts' space out.

    Shape letters: N images, H and W pixels, D dimensions.
    """

    def __init__(self, backbone: nn.Module, projection: Dense, pixels: Pixels) -> None:
        """
        Args:
            backbone: a vision transformer whose forward gives `pooler_output`.
            projection: from its width to that of the texts' vectors.
            pixels: how images become what `forward` takes.
        """
        super().__init__()
        self.backbone: Any = backbone
        self.projection = projection
        self.pixels = pixels

    @property
    def tokens_per_image(self) -> int:
        """Positions that one image takes in the transformer."""
        return (self.pixels.height // self.backbone.config.patch_size) * (
            self.pixels.width // self.backbone.config.patch_size
        ) + 1

    def forward(self, pixel_NHW3: torch.Tensor) -> torch.Tensor:
        """Vectors of images.

        Args:
            pixel_NHW3: uint8, as `Pixels.encode` gives them.

        Returns:
            float32 (N, D), each of length 1.
        """
        mean, std = (torch.tensor(values, device=pixel_NHW3.device) for values in (self.pixels.mean, self.pixels.std))
        value_NHW3 = (pixel_NHW3.float() / 255 - mean) / std
        output = self.backbone(pixel_values=value_NHW3.permute(0, 3, 1, 2).contiguous())
        return functional.normalize(self.projection(output.pooler_output).float(), dim=-1)


def build_image_tower(config: EncoderConfig, dimension: int) -> ImageTower | None:
    """The image tower that a configuration describes, in float32 and evaluation mode; None where it has none.

    Args:
        config: of the whole encoder.
        dimension: of the texts' vectors.

    Raises:
        ConfigError: one line on what cannot be used.
    """
    image = config.image
    if image is None:
        return None
    if image.fresh is not None:
        return _fresh(image.fresh, config, dimension)
    assert image.name_or_path is not None
    folder = find_folder(image.name_or_path, image.revision)
    return load_image_tower(folder / IMAGE_FOLDER if (folder / IMAGE_FOLDER).is_dir() else folder, config, dimension)


def load_image_tower(folder: Path, config: EncoderConfig, dimension: int) -> ImageTower:
    """The image tower in a folder of CLIP's, SigLIP's or our own; the projection is new where the folder has none.

    Raises:
        ConfigError: the folder is missing something, or holds another kind of model.
    """
    backbone = _load_backbone(folder, config)
    pixels = read_pixels(folder)
    size = backbone.config.image_size
    if (pixels.height, pixels.width) != (size, size):
        raise ConfigError(
            f"{folder}: its image processor gives {pixels.height} x {pixels.width} pixels, its model takes {size} x "
            f"{size}; they are from different models"
        )
    path = folder / _PROJECTION_FILE
    with drawn_with(_PROJECTION_SEED):
        projection = Dense(backbone.config.hidden_size, dimension, bias=False, activation=IDENTITY)
    if path.is_file():
        try:
            weights = load_file(path)
        except (SafetensorError, OSError, ValueError, MemoryError) as error:
            raise ConfigError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
        if {name: tensor.shape for name, tensor in weights.items()} != {"weight": projection.weight.shape}:
            raise ConfigError(
                f"{path}: is not a projection from {projection.in_features} to the {dimension} numbers of the text "
                "tower's vectors; start from another image tower, or set encoder.projection to what it was"
            )
        projection.load_state_dict(weights)
    return _finished(backbone, projection, pixels, config)


def save_image_tower(folder: Path, tower: ImageTower, state: Mapping[str, torch.Tensor]) -> None:
    """Write the tower's folder; `state` has its weights under the names of `tower.state_dict()`."""
    folder.mkdir(parents=True, exist_ok=True)
    prefix = "backbone."
    save_backbone(tower.backbone, folder, {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)})
    weight = state["projection.weight"].detach().float().cpu().contiguous()
    save_file({"weight": weight}, folder / _PROJECTION_FILE, metadata={"format": "pt"})
    write_pixels(folder, tower.pixels, _PROCESSORS[tower.backbone.config.model_type])


def _load_backbone(folder: Path, config: EncoderConfig) -> "PreTrainedModel":
    from transformers import CLIPVisionConfig, CLIPVisionModel, SiglipVisionConfig, SiglipVisionModel

    classes: dict[str, tuple[Any, Any]] = {
        "clip_vision_model": (CLIPVisionConfig, CLIPVisionModel),
        "siglip_vision_model": (SiglipVisionConfig, SiglipVisionModel),
    }
    refuse_other_weights(folder)
    with one_line(folder), quiet():
        kind = parse_json((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
        if kind not in _KINDS:
            raise ConfigError(
                f"{folder}: {kind} is not a model for images that is supported; CLIP's and SigLIP's are: "
                f"{', '.join(_KINDS)}"
            )
        config_class, model_class = classes[_KINDS[kind]]
        model_config = config_class.from_pretrained(folder, local_files_only=True)
        if config.dropout is not None:
            set_dropout(model_config, config.dropout)
        if not getattr(model_config, "vision_use_head", True):
            raise ConfigError(f"{folder}: has no pooling head, so no vector for an image; choose another SigLIP model")
        return load_whole(model_class, folder, model_config, config.attention)


def _fresh(fresh: FreshImageConfig, config: EncoderConfig, dimension: int) -> ImageTower:
    """A small tower with new weights, drawn from its own seed."""
    from transformers import CLIPVisionConfig, CLIPVisionModel, SiglipVisionConfig, SiglipVisionModel

    clip = fresh.architecture == "clip"
    classes: tuple[Any, Any] = (CLIPVisionConfig, CLIPVisionModel) if clip else (SiglipVisionConfig, SiglipVisionModel)
    config_class, model_class = classes
    model_config = config_class(
        hidden_size=fresh.hidden,
        num_hidden_layers=fresh.layers,
        num_attention_heads=fresh.heads,
        intermediate_size=fresh.intermediate,
        image_size=fresh.image_size,
        patch_size=fresh.patch_size,
        attn_implementation=config.attention,
    )
    if config.dropout is not None:
        set_dropout(model_config, config.dropout)
    with drawn_with(fresh.seed):
        backbone: Any = model_class(model_config)
        projection = Dense(fresh.hidden, dimension, bias=False, activation=IDENTITY)
    size = fresh.image_size
    pixels = Pixels(size, size, size, mean=_CLIP_MEAN, std=_CLIP_STD) if clip else Pixels(size, size)
    return _finished(backbone, projection, pixels, config)


def _finished(backbone: "PreTrainedModel", projection: Dense, pixels: Pixels, config: EncoderConfig) -> ImageTower:
    tower = ImageTower(backbone, projection, pixels)
    if config.gradient_checkpointing:
        switch_checkpointing_on(backbone)
    return tower.eval()
