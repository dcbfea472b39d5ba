"""Drawn scenes: what the pictures show is what the captions say, the same everywhere, each scene in one split."""

import hashlib
import io
import itertools

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label

from cluster.errors import ConfigError
from retrieval.datasets import parse_dataset, read_collection, read_groups
from retrieval.datasets.drawn_scenes.draw import _RGB, SIDE, draw
from retrieval.datasets.drawn_scenes.facts import SIZES, Part, Scene, Split, scenes
from retrieval.datasets.drawn_scenes.words import LANGUAGES, captions


def test_hand_checked_captions_in_every_language() -> None:
    beside = Scene(Part(3, "red", "circle"), Part(1, "blue", "cross"), "side_by_side")
    assert {language: captions(beside, language) for language in LANGUAGES} == {
        "de": (
            "Drei rote Kreise links und ein blaues Kreuz rechts.",
            "Rechts: ein blaues Kreuz; links: drei rote Kreise.",
        ),
        "en": (
            "Three red circles on the left and one blue cross on the right.",
            "On the right: one blue cross; on the left: three red circles.",
        ),
        "es": (
            "Tres círculos rojos a la izquierda y una cruz azul a la derecha.",
            "A la derecha: una cruz azul; a la izquierda: tres círculos rojos.",
        ),
        "fr": (
            "Trois cercles rouges à gauche et une croix bleue à droite.",
            "À droite : une croix bleue ; à gauche : trois cercles rouges.",
        ),
        "tr": ("Solda üç kırmızı daire, sağda bir mavi haç.", "Sağda bir mavi haç var; solda ise üç kırmızı daire."),
        "zh": ("左边有三个红色圆形，右边有一个蓝色十字形。", "右边是一个蓝色十字形，左边是三个红色圆形。"),
    }
    above = Scene(Part(1, "purple", "star"), Part(2, "black", "diamond"), "one_above_the_other")
    assert captions(above, "de")[0] == "Ein violetter Stern oben und zwei schwarze Rauten unten."
    assert captions(above, "es")[0] == "Una estrella morada arriba y dos rombos negros abajo."
    assert captions(above, "fr")[1] == "En bas : deux losanges noirs ; en haut : une étoile violette."
    assert captions(above, "zh")[0] == "上面有一个紫色星形，下面有两个黑色菱形。"


@pytest.mark.parametrize("language", LANGUAGES)
def test_different_scenes_have_different_captions(language: str) -> None:
    drawn = [captions(scene, language) for scene in scenes("test", 2000)]
    assert len(set(drawn)) == 2000 and all(first != second for first, second in drawn)


def things(picture: np.ndarray, part: Part) -> int:
    """Connected areas of a part's colour."""
    close = np.abs(picture.astype(int) - _RGB[part.colour]).max(axis=2) < 40
    return int(label(close, np.ones((3, 3)))[1])


def test_pictures_show_as_many_things_in_each_half_as_their_captions_say() -> None:
    for scene in scenes("test", 60):
        picture = np.asarray(Image.open(io.BytesIO(draw(scene))))
        assert picture.shape == (SIDE, SIDE, 3)
        halves = np.split(picture, 2, axis=1 if scene.arrangement == "side_by_side" else 0)
        for half, part, other in zip(halves, (scene.first, scene.second), (scene.second, scene.first), strict=True):
            # Neighbours may touch, so fewer areas than things are seen now and then, never more.
            assert 1 <= things(half, part) <= part.count, scene.id
            assert part.colour == other.colour or things(half, other) == 0, scene.id
    counted = [
        things(np.asarray(Image.open(io.BytesIO(draw(scene)))), scene.first) == scene.first.count
        for scene in scenes("test", 200)
        if scene.first.colour != scene.second.colour
    ]
    assert np.mean(counted) > 0.97


def test_scenes_are_always_the_same_and_in_one_split() -> None:
    splits: tuple[Split, ...] = ("train", "validation", "test")
    ids = {split: [scene.id for scene in scenes(split, 10**6)] for split in splits}
    for one, other in itertools.combinations(splits, 2):
        assert not set(ids[one]) & set(ids[other])
    shares = np.array([len(ids[split]) for split in splits]) / sum(map(len, ids.values()))
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.01)
    assert [len(scenes(split)) for split in splits] == [SIZES[split] for split in splits]
    first = Image.open(io.BytesIO(draw(scenes("train", 1)[0])))
    assert scenes("train", 1)[0].id == ids["train"][0]
    # By pixels, not by file: another zlib may pack the same picture otherwise.
    assert hashlib.sha256(first.tobytes()).hexdigest()[:16] == "3b8acc2ed53e8f8d"


def test_groups_and_searches() -> None:
    config = parse_dataset({"dataset": "drawn_scenes", "split": "validation", "limit": 7, "languages": ["en", "zh"]})
    groups = list(read_groups(config))
    assert [set(group.pairs) for group in groups] == [{"en", "zh"}] * 7 and all(group.image for group in groups)
    sizes = {}
    for search in ("captions", "text_to_image", "image_to_text", "everything"):
        collection = read_collection(config.model_copy(update={"search": search}))
        sizes[search] = (len(collection.query_texts), len(collection.passage_texts), len(collection.judged_query))
    assert sizes == {
        "captions": (14, 14, 28),
        "text_to_image": (14, 7, 14),
        "image_to_text": (7, 14, 14),
        "everything": (21, 21, 7 * (2 * 3 + 2)),
    }
    with pytest.raises(ConfigError, match="drawn_scenes has no language 'ja'"):
        parse_dataset({"dataset": "drawn_scenes", "languages": ["ja"]})
