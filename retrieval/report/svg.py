"""A figure as matplotlib writes it -> a small SVG for a file, and one that follows the page into light or dark.

Figures are drawn in a fixed set of colours. On the page each becomes a CSS variable, so that a figure changes with
the page; in the file it stays as it is, on a white ground, for papers and slides.
"""

import re
from xml.etree import ElementTree

from retrieval.report.text import visible

SVG = "http://www.w3.org/2000/svg"
_XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_BOX = re.compile(r"M (\S+) (\S+) L (\S+) \2 L \3 (\S+) L \1 \4 z")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")

INK, MUTED, RULE, BLANK = "#1d2125", "#62676d", "#d9dad6", "#ecece8"
# The ground, for hollow marks. In the file it is as good as white, which itself stays white on the page.
PAPER = "#fefefe"
# Okabe and Ito's colours, which every common colour blindness tells apart (doi 10.1038/nmeth.1618).
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
BASELINES = ("#8a8f94", "#b9bdc1")
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    BLANK: "blank",
    PAPER: "paper",
    **{colour: f"series-{number}" for number, colour in enumerate(SERIES, start=1)},
    **{colour: f"baseline-{number}" for number, colour in enumerate(BASELINES, start=1)},
}
_COLOUR = re.compile("|".join(VARIABLES))


def compact(text: str, name: str, title: str, description: str) -> ElementTree.Element:
    """Drop what no reader needs, round coordinates, and give the figure a title, a description and ids of its own.

    Args:
        text: SVG written by matplotlib with `svg.fonttype: none`.
        name: prefix of every id, unique on the page.
        title: what the figure shows, in a few words.
        description: what someone who cannot see it should know.
    """
    root = ElementTree.fromstring(text)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{{{SVG}}}metadata" or child.tag == f"{{{SVG}}}style":
                parent.remove(child)
    _unwrap_groups(root)
    used = _referenced_ids(root)
    for element in root.iter():
        _tidy(element, name, used)
    width, height = (float(value) for value in root.attrib["viewBox"].split()[2:])
    root.attrib.clear()
    root.set("viewBox", f"0 0 {width:g} {height:g}")
    root.set("width", f"{width:g}")
    root.set("height", f"{height:g}")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    root.set("style", "stroke-linejoin:round;stroke-linecap:butt;font-family:sans-serif")
    for place, (tag, content) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{tag}"})
        element.text = visible(content)
        root.insert(place, element)
    return root


def for_file(root: ElementTree.Element) -> str:
    """The figure on its own: white ground, fixed colours."""
    ground = ElementTree.Element(f"{{{SVG}}}rect", {"width": "100%", "height": "100%", "fill": "#ffffff"})
    root.insert(2, ground)
    text = _written(root)
    root.remove(ground)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def for_page(root: ElementTree.Element) -> str:
    """The figure as part of the page: transparent, the page's fonts and colours."""
    text = _written(root).replace(f' xmlns="{SVG}"', "", 1).replace(";font-family:sans-serif", "", 1)
    # Only inside style attributes: a name in the data may well contain a colour.
    return re.sub(
        r'style="[^"]*"', lambda match: _COLOUR.sub(lambda colour: f"var(--{VARIABLES[colour[0]]})", match[0]), text
    )


def _written(root: ElementTree.Element) -> str:
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _unwrap_groups(parent: ElementTree.Element) -> None:
    """Replace groups that carry nothing but an id by their children."""
    for child in list(parent):
        _unwrap_groups(child)
        if child.tag == f"{{{SVG}}}g" and not set(child.attrib) - {"id"}:
            place = list(parent).index(child)
            parent.remove(child)
            for offset, grandchild in enumerate(list(child)):
                parent.insert(place + offset, grandchild)
        elif child.tag == f"{{{SVG}}}defs" and not len(child):
            parent.remove(child)


def _referenced_ids(root: ElementTree.Element) -> set[str]:
    used = set()
    for element in root.iter():
        for value in element.attrib.values():
            used.update(_REFERENCE.findall(value))
        used.add(element.attrib.get(_XLINK_HREF, "").removeprefix("#"))
    return used


def _tidy(element: ElementTree.Element, name: str, used: set[str]) -> None:
    attributes = dict(element.attrib)
    element.attrib.clear()
    element.tail = None
    if element.tag != f"{{{SVG}}}text":
        element.text = None
    for key, value in attributes.items():
        if key == "id":
            if value in used:
                element.set("id", f"{name}-{value}")
        elif key == _XLINK_HREF:
            element.set("href", f"#{name}-{value.removeprefix('#')}")
        elif key == "style":
            element.set("style", _tidy_style(value, name))
        elif key == "transform" and value.startswith("rotate(-0 "):
            continue
        else:
            short = " ".join(_with_own_ids(value, name).split())
            element.set(key, _BOX.sub(r"M\1 \2H\3V\4H\1z", short))


def _tidy_style(style: str, name: str) -> str:
    kept = []
    for declaration in style.split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key == "font":
            # matplotlib before 3.11 writes `font: 600 10px 'DejaVu Sans', ...`; the family is the page's.
            weight, size = re.search(r"\b[1-9]00\b", value), re.search(r"[\d.]+px", value)
            kept += [f"font-weight:{weight[0]}"] if weight else []
            kept += [f"font-size:{size[0]}"] if size else []
        elif key not in ("", "font-family", "stroke-miterlimit"):
            kept.append(f"{key}:{_with_own_ids(value, name)}")
    return ";".join(kept)


def _with_own_ids(value: str, name: str) -> str:
    """An attribute's value with references to this figure's ids and rounded numbers."""
    return _NUMBER.sub(_rounded, _REFERENCE.sub(lambda reference: f"url(#{name}-{reference[1]})", value))


def _rounded(match: re.Match[str]) -> str:
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")
