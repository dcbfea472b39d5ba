"""A scene -> captions in six languages, by hand-written words and templates: no translation, no grammar engine.

Every language has two templates for each arrangement. They name the two parts in opposite order, so that a caption and
the other caption of its scene share words but not their places.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from retrieval.datasets.drawn_scenes.facts import Arrangement, Colour, Part, Scene, Shape

LANGUAGES = ("de", "en", "es", "fr", "tr", "zh")


@dataclass(frozen=True)
class _Language:
    part: Callable[[Part], str]
    """Three red circles."""
    templates: Mapping[Arrangement, tuple[str, str]]
    """With {first} and {second}."""


def captions(scene: Scene, language: str) -> tuple[str, str]:
    """Two captions of a scene in a language."""
    words = _LANGUAGES[language]
    first, second = words.part(scene.first), words.part(scene.second)
    filled = [template.format(first=first, second=second) for template in words.templates[scene.arrangement]]
    return _capitalised(filled[0]), _capitalised(filled[1])


def _capitalised(text: str) -> str:
    return text[0].upper() + text[1:]


def _english(part: Part) -> str:
    shape: dict[Shape, tuple[str, str]] = {
        "circle": ("circle", "circles"),
        "square": ("square", "squares"),
        "triangle": ("triangle", "triangles"),
        "star": ("star", "stars"),
        "diamond": ("diamond", "diamonds"),
        "cross": ("cross", "crosses"),
    }
    number = ("one", "two", "three", "four")[part.count - 1]
    return f"{number} {part.colour} {shape[part.shape][part.count > 1]}"


def _german(part: Part) -> str:
    shape: dict[Shape, tuple[str, str, str]] = {
        "circle": ("m", "Kreis", "Kreise"),
        "square": ("n", "Quadrat", "Quadrate"),
        "triangle": ("n", "Dreieck", "Dreiecke"),
        "star": ("m", "Stern", "Sterne"),
        "diamond": ("f", "Raute", "Rauten"),
        "cross": ("n", "Kreuz", "Kreuze"),
    }
    colour: dict[Colour, str] = {
        "red": "rot",
        "blue": "blau",
        "green": "grün",
        "yellow": "gelb",
        "black": "schwarz",
        "purple": "violett",
    }
    gender, singular, plural = shape[part.shape]
    stem = colour[part.colour]
    if part.count > 1:
        return f"{('zwei', 'drei', 'vier')[part.count - 2]} {stem}e {plural}"
    article, ending = {"m": ("ein", "er"), "n": ("ein", "es"), "f": ("eine", "e")}[gender]
    return f"{article} {stem}{ending} {singular}"


def _romance(
    number: tuple[str, str, str, str, str],
    shape: Mapping[Shape, tuple[str, str, str]],
    colour: Mapping[Colour, tuple[str, str, str, str]],
) -> Callable[[Part], str]:
    """Number, noun, then the colour in the noun's gender and number.

    Args:
        number: one (masculine), one (feminine), two, three, four.
        shape: gender, singular, plural.
        colour: masculine, feminine, and the plurals of both.
    """

    def part_in_words(part: Part) -> str:
        gender, *nouns = shape[part.shape]
        feminine, several = gender == "f", part.count > 1
        count = number[part.count] if several else number[feminine]
        return f"{count} {nouns[several]} {colour[part.colour][feminine + 2 * several]}"

    return part_in_words


_SPANISH = _romance(
    ("un", "una", "dos", "tres", "cuatro"),
    {
        "circle": ("m", "círculo", "círculos"),
        "square": ("m", "cuadrado", "cuadrados"),
        "triangle": ("m", "triángulo", "triángulos"),
        "star": ("f", "estrella", "estrellas"),
        "diamond": ("m", "rombo", "rombos"),
        "cross": ("f", "cruz", "cruces"),
    },
    {
        "red": ("rojo", "roja", "rojos", "rojas"),
        "blue": ("azul", "azul", "azules", "azules"),
        "green": ("verde", "verde", "verdes", "verdes"),
        "yellow": ("amarillo", "amarilla", "amarillos", "amarillas"),
        "black": ("negro", "negra", "negros", "negras"),
        "purple": ("morado", "morada", "morados", "moradas"),
    },
)

_FRENCH = _romance(
    ("un", "une", "deux", "trois", "quatre"),
    {
        "circle": ("m", "cercle", "cercles"),
        "square": ("m", "carré", "carrés"),
        "triangle": ("m", "triangle", "triangles"),
        "star": ("f", "étoile", "étoiles"),
        "diamond": ("m", "losange", "losanges"),
        "cross": ("f", "croix", "croix"),
    },
    {
        "red": ("rouge", "rouge", "rouges", "rouges"),
        "blue": ("bleu", "bleue", "bleus", "bleues"),
        "green": ("vert", "verte", "verts", "vertes"),
        "yellow": ("jaune", "jaune", "jaunes", "jaunes"),
        "black": ("noir", "noire", "noirs", "noires"),
        "purple": ("violet", "violette", "violets", "violettes"),
    },
)


def _turkish(part: Part) -> str:
    # No plural after a number, and no agreement.
    shape: dict[Shape, str] = {
        "circle": "daire",
        "square": "kare",
        "triangle": "üçgen",
        "star": "yıldız",
        "diamond": "eşkenar dörtgen",
        "cross": "haç",
    }
    colour: dict[Colour, str] = {
        "red": "kırmızı",
        "blue": "mavi",
        "green": "yeşil",
        "yellow": "sarı",
        "black": "siyah",
        "purple": "mor",
    }
    return f"{('bir', 'iki', 'üç', 'dört')[part.count - 1]} {colour[part.colour]} {shape[part.shape]}"


def _chinese(part: Part) -> str:
    shape: dict[Shape, str] = {
        "circle": "圆形",
        "square": "正方形",
        "triangle": "三角形",
        "star": "星形",
        "diamond": "菱形",
        "cross": "十字形",
    }
    colour: dict[Colour, str] = {
        "red": "红色",
        "blue": "蓝色",
        "green": "绿色",
        "yellow": "黄色",
        "black": "黑色",
        "purple": "紫色",
    }
    return f"{'一两三四'[part.count - 1]}个{colour[part.colour]}{shape[part.shape]}"


def _two_ways(first: tuple[str, str], second: tuple[str, str]) -> Mapping[Arrangement, tuple[str, str]]:
    return {"side_by_side": first, "one_above_the_other": second}


_LANGUAGES: dict[str, _Language] = {
    "de": _Language(
        _german,
        _two_ways(
            ("{first} links und {second} rechts.", "Rechts: {second}; links: {first}."),
            ("{first} oben und {second} unten.", "Unten: {second}; oben: {first}."),
        ),
    ),
    "en": _Language(
        _english,
        _two_ways(
            ("{first} on the left and {second} on the right.", "On the right: {second}; on the left: {first}."),
            ("{first} at the top and {second} at the bottom.", "At the bottom: {second}; at the top: {first}."),
        ),
    ),
    "es": _Language(
        _SPANISH,
        _two_ways(
            ("{first} a la izquierda y {second} a la derecha.", "A la derecha: {second}; a la izquierda: {first}."),
            ("{first} arriba y {second} abajo.", "Abajo: {second}; arriba: {first}."),
        ),
    ),
    "fr": _Language(
        _FRENCH,
        _two_ways(
            ("{first} à gauche et {second} à droite.", "À droite : {second} ; à gauche : {first}."),
            ("{first} en haut et {second} en bas.", "En bas : {second} ; en haut : {first}."),
        ),
    ),
    "tr": _Language(
        _turkish,
        _two_ways(
            ("Solda {first}, sağda {second}.", "Sağda {second} var; solda ise {first}."),
            ("Üstte {first}, altta {second}.", "Altta {second} var; üstte ise {first}."),
        ),
    ),
    "zh": _Language(
        _chinese,
        _two_ways(
            ("左边有{first}，右边有{second}。", "右边是{second}，左边是{first}。"),
            ("上面有{first}，下面有{second}。", "下面是{second}，上面是{first}。"),
        ),
    ),
}
