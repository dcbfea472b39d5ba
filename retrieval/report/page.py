"""Contents -> one HTML page that needs nothing but itself."""

import base64
import hashlib
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from retrieval.records import LANGUAGE_CODE
from retrieval.report.contents import HEADINGS, Contents
from retrieval.report.measures import HEADLINE, RANK_DISTANCE, SETTING_MEANING, SETTINGS
from retrieval.report.text import label, language_names, parts_of, visible


def render(contents: Contents) -> str:
    """The page. All text from data is escaped; the only script is ours, and the page's policy allows no other."""
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            contents=contents,
            headings=HEADINGS,
            measures=(*HEADLINE, RANK_DISTANCE),
            settings=SETTINGS,
            setting_meaning=SETTING_MEANING,
            **style_and_script(),
        )
    )


def style_and_script() -> dict[str, str]:
    """What every page with sortable tables has in its head and at its end, and the digest that its policy allows."""
    script = template_file("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return {"style": Markup(template_file("report.css")), "script": Markup(script), "script_digest": digest}


def environment() -> Environment:
    """Templates of pages: everything is escaped, and invisible characters are shown."""
    made = Environment(
        loader=PackageLoader("retrieval.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.filters |= {
        "label": label,
        "autonym": _autonym,
        "english": _english,
        "svg": Markup,
        "sentence": _sentence,
        "capitalised": lambda text: text[:1].upper() + text[1:],
    }
    return made


def _sentence(text: str) -> Markup:
    """A sentence with the names in it set apart."""
    parts = [escape(visible(part)) for part in parts_of(text)]
    return Markup("").join(
        Markup("<bdi>{}</bdi>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )


def _shown(value: Any) -> Any:
    """Every text that reaches the page has its invisible characters made visible."""
    return visible(value, multiline=True) if isinstance(value, str) and not isinstance(value, Markup) else value


def _autonym(code: str) -> dict[str, str] | None:
    """A language's name for itself and the tag it is written under; None where CLDR knows none."""
    name = language_names(code)[1]
    return {"tag": code.replace("_", "-"), "name": name} if name and LANGUAGE_CODE.fullmatch(code) else None


def _english(code: str) -> str:
    return language_names(code)[0]


def template_file(name: str) -> str:
    """A file beside the templates, to be put into a page."""
    return (resources.files("retrieval.report") / "templates" / name).read_text(encoding="utf-8").strip()
