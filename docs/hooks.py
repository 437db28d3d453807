"""Formulas as MathML, which every browser draws by itself: the site fetches nothing when it is read."""

import logging
import re
from html import unescape

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)
DISPLAYED = re.compile(r"^(\$\$.*?\$\$)$", re.S | re.M)
MEANT = {r"\lVert": r"\Vert ", r"\rVert": r"\Vert ", r"\cr": r"\\"}  # commands that the converter does not know
LOG = logging.getLogger("mkdocs.hooks")  # a warning fails `make docs`


def on_page_markdown(markdown: str, **_) -> str:
    """A displayed formula is a paragraph of its own, whatever its neighbours."""
    return DISPLAYED.sub(r"\n\1\n", markdown)


def on_page_content(html: str, page, **_) -> str:
    html = FORMULA.sub(_mathml, html)
    for left in set(re.findall(r"<mi>\\\w+|class=\"arithmatex\"|\$\$", html)):
        LOG.warning("%s: no MathML for %s", page.file.src_uri, left)
    return html


def _mathml(match: re.Match) -> str:
    tex = unescape(match[2])
    for command, known in MEANT.items():
        tex = re.sub(re.escape(command) + r"(?![a-zA-Z])", lambda _, k=known: k, tex)
    if match[1] == "span":
        return convert(tex)
    return f'<div style="overflow-x: auto">{convert(tex, display="block")}</div>'
