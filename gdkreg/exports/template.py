"""The templates of support/, filled in by Jinja; and how a text is quoted in what they make."""

from __future__ import annotations

import json
import re
from typing import Any

import jinja2

from gdkreg.host import support

_PLAIN = re.compile(r"/[\w./-]+")
# Nothing here is HTML. What a template names and nobody gives is a mistake of ours, not an empty word.
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FunctionLoader(support.text),
    autoescape=False,
    keep_trailing_newline=True,
    lstrip_blocks=True,
    trim_blocks=True,
    undefined=jinja2.StrictUndefined,
)


def fill(name: str, **values: Any) -> str:
    """The template support/NAME with these values. Raises `jinja2.UndefinedError` for one that is not given."""
    return _TEMPLATES.get_template(name).render(values)


def quoted(text: str) -> str:
    """A path or text as a value of YAML, Ruby or nginx: as it is where that is plain, else in double quotes."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def ruby(text: str) -> str:
    """A text in Ruby's double quotes, where # begins what is computed."""
    return json.dumps(text, ensure_ascii=False).replace("#", "\\#")
