"""The image tower: the real classes' pixels and vectors, folders that load again, and what is refused."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel, CLIPVisionModel, SiglipVisionConfig, SiglipVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from cluster.config import build_config, to_plain
from cluster.errors import ConfigError, DataError
from retrieval.encode import encode_images, encode_side, encode_texts
from retrieval.encoder.config import EncoderConfig
from retrieval.encoder.folder import build_encoder, load_encoder, save_encoder
from retrieval.encoder.pixels import Pixels, read_pixels, write_pixels

FRESH = {"layers": 1, "hidden": 16, "heads": 2, "intermediate": 16, "vocabulary": 300, "dropout": 0.0}
TOWER = {"layers": 1, "hidden": 12, "heads": 2, "intermediate": 16, "image_size": 24, "patch_size": 8}
VISION = {
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 32,
    "patch_size": 16,
}


def png(width: int, height: int, seed: int = 0) -> bytes:
    data = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(data, "PNG")
    return data.getvalue()


IMAGES = [png(40, 30, seed) for seed in range(3)] + [png(25, 60, 3)]


def config(image: dict | None, **fields: object) -> EncoderConfig:
    return build_config(EncoderConfig, {"fresh": FRESH, "image": image, "projection": 10, **fields})


def clip_folder(folder: Path) -> Path:
    """A whole CLIP with random weights, texts' tower included, as its folders are."""
    torch.manual_seed(0)
    text = {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "vocab_size": 50,
    }
    CLIPModel(CLIPConfig(text_config=text, vision_config=VISION)).save_pretrained(folder)
    size = {"shortest_edge": 32}
    CLIPImageProcessorPil(size=size, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def siglip_folder(folder: Path) -> Path:
    torch.manual_seed(0)
    SiglipVisionModel(SiglipVisionConfig(**VISION)).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("make", [clip_folder, siglip_folder])
def test_vectors_are_those_of_the_library_projected(tmp_path: Path, texts: list[str], make) -> None:
    folder = make(tmp_path / "model")
    clip = make is clip_folder
    encoder, _ = build_encoder(config({"name_or_path": str(folder)}), texts)
    processor = (CLIPImageProcessorPil if clip else SiglipImageProcessorPil).from_pretrained(folder)
    model = (CLIPVisionModel if clip else SiglipVisionModel).from_pretrained(folder)
    pictures = [Image.open(io.BytesIO(image)) for image in IMAGES]
    values = processor(pictures, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        pooled = model(pixel_values=values).pooler_output
        expected = torch.nn.functional.normalize(pooled @ encoder.image.projection.weight.T, dim=-1)
    np.testing.assert_allclose(encode_images(encoder, IMAGES), expected.numpy(), atol=1e-6)
    np.testing.assert_allclose(encode_images(encoder, IMAGES, max_tokens_per_batch=1), expected.numpy(), atol=1e-6)


def test_pixels_are_the_image_processors_own_to_the_last_bit(tmp_path: Path) -> None:
    clip_folder(tmp_path)
    pixels, processor = read_pixels(tmp_path), CLIPImageProcessorPil.from_pretrained(tmp_path)
    for image in [*IMAGES, png(32, 32), png(33, 1000), png(1000, 33), png(7, 9)]:
        unnormalised = processor(Image.open(io.BytesIO(image)), do_normalize=False, do_rescale=False)["pixel_values"][0]
        np.testing.assert_array_equal(pixels.encode(image, "-").transpose(2, 0, 1), unnormalised)


@pytest.mark.parametrize("architecture", ["clip", "siglip"])
def test_a_folder_loads_again_with_both_towers_and_in_sentence_transformers(
    tmp_path: Path, texts: list[str], architecture: str
) -> None:
    from sentence_transformers import SentenceTransformer

    encoder, tokens = build_encoder(config({"fresh": TOWER | {"architecture": architecture}}), texts)
    save_encoder(tmp_path, encoder, tokens)
    again, tokens_again = load_encoder(tmp_path)
    np.testing.assert_array_equal(encode_images(again, IMAGES), encode_images(encoder, IMAGES))
    vectors = encode_texts(encoder, tokens, texts[:4], "query")
    np.testing.assert_array_equal(encode_texts(again, tokens_again, texts[:4], "query"), vectors)
    assert again.image.pixels == encoder.image.pixels
    of_library = SentenceTransformer(str(tmp_path), device="cpu").encode(texts[:4], prompt_name="query")
    np.testing.assert_allclose(of_library, vectors, atol=1e-5)
    # The tower of a folder serves another encoder, and is left out where it is not asked for.
    name = str(tmp_path)
    taken, _ = load_encoder(tmp_path, EncoderConfig(name_or_path=name, image={"name_or_path": name}))
    np.testing.assert_array_equal(encode_images(taken, IMAGES), encode_images(encoder, IMAGES))
    without, _ = load_encoder(tmp_path, EncoderConfig(name_or_path=name))
    assert without.image is None
    with pytest.raises(DataError, match=r"no tower for images; set encoder\.image"):
        encode_images(without, IMAGES)


def test_texts_and_images_of_one_side_keep_their_places(texts: list[str]) -> None:
    encoder, tokens = build_encoder(config({"fresh": TOWER}), texts)
    mixed = [texts[0], "", texts[1], ""]
    images = [None, IMAGES[0], None, IMAGES[3]]
    vectors = encode_side(encoder, tokens, mixed, images, "passage", ["en", "image", "en", "image"])
    np.testing.assert_allclose(vectors[[1, 3]], encode_images(encoder, [IMAGES[0], IMAGES[3]]), atol=1e-6)
    np.testing.assert_allclose(vectors[[0, 2]], encode_texts(encoder, tokens, texts[:2], "passage"), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_the_same_seed_gives_the_same_tower_and_leaves_the_text_tower_alone(texts: list[str]) -> None:
    one, two, other = (
        build_encoder(config({"fresh": TOWER | {"seed": seed}}), texts)[0].state_dict() for seed in (1, 1, 2)
    )
    plain = build_encoder(config(None), texts)[0].state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["image.projection.weight"], other["image.projection.weight"])
    assert all(torch.equal(plain[name], one[name]) for name in plain)


def test_what_cannot_be_an_image_tower_is_refused_by_name(tmp_path: Path, texts: list[str]) -> None:
    def build(folder: Path) -> None:
        build_encoder(config({"name_or_path": str(folder)}), texts)

    folder = clip_folder(tmp_path / "clip")
    fields = json.loads((folder / "preprocessor_config.json").read_text())
    for changed, message in (
        ({"do_rescale": False}, "do_rescale: False is not supported"),
        ({"crop_size": {"height": 16, "width": 16}}, "gives 16 x 16 pixels, its model takes 32 x 32"),
        ({"image_mean": [0.5]}, "image_mean"),
        ({"resample": 17}, "resample 17"),
        ({"do_center_crop": False}, "unequal sizes"),
    ):
        (folder / "preprocessor_config.json").write_text(json.dumps(fields | changed))
        with pytest.raises(ConfigError, match=message):
            build(folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ConfigError, match=r"preprocessor_config\.json: missing"):
        build(folder)
    (folder / "config.json").write_text('{"model_type": "xlm-roberta"}')
    with pytest.raises(ConfigError, match="xlm-roberta is not a model for images"):
        build(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"holds only pytorch_model\.bin; weights are read from safetensors only"):
        build(folder)


def test_a_projection_of_another_dimension_is_refused(tmp_path: Path, texts: list[str]) -> None:
    save_encoder(tmp_path, *build_encoder(config({"fresh": TOWER}), texts))
    with pytest.raises(ConfigError, match="is not a projection from 12 to the 16 numbers"):
        build_encoder(config({"name_or_path": str(tmp_path)}, projection=None), texts)


def test_configurations_of_towers() -> None:
    for image, message in (
        ({}, "exactly one of name_or_path"),
        ({"fresh": {}, "name_or_path": "x"}, "not both"),
        ({"fresh": {"image_size": 30, "patch_size": 8}}, "image_size 30 is not a multiple of patch_size 8"),
        ({"fresh": {"hidden": 30, "heads": 4}}, "hidden 30 is not a multiple of heads 4"),
        ({"fresh": {}, "revision": "main"}, "a fresh tower has none"),
    ):
        with pytest.raises(ConfigError, match=message):
            config(image)
    assert "image" not in to_plain(config(None))


def test_written_processors_are_read_back(tmp_path: Path) -> None:
    for pixels in (Pixels(24, 16), Pixels(24, 24, 30, resample=2, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))):
        write_pixels(tmp_path, pixels, "CLIPImageProcessor")
        assert read_pixels(tmp_path) == pixels
