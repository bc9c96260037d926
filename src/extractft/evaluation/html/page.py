"""The report as one page of HTML. Knows templates and markup; knows no schema and no model.

Everything is put in by a template that escapes it: names, texts and values are data of strangers. The page asks
browsers to load nothing and to run nothing but its own few lines, which are named by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from extractft.evaluation.calibration_report import about_confidence
from extractft.evaluation.console_tables import ROOT, floored, interval, number, records
from extractft.evaluation.html.page_model import KINDS, build_page
from extractft.evaluation.html.plots import counted
from extractft.evaluation.learning_curve import LearningPoint
from extractft.evaluation.results import Results

__all__ = ["render_page", "visible"]

ROOM = "extractft.evaluation.html"
PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)} | {0x7F: "␡"}
PICTURES |= {code: f"⟨U+{code:04X}⟩" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
"""Shown for control characters, and for those that would turn the text after them round."""
UNFIT = re.compile("[\x80-\x9f\ud800-\udfff]")


def render_page(
    results: Results,
    *,
    baseline: Results | None = None,
    learning_curve: Sequence[LearningPoint] = (),
    max_records: int = 1000,
) -> str:
    """Render the page; arguments as `build_page`. The same results give the same text."""
    model = build_page(results, baseline=baseline, learning_curve=learning_curve, max_records=max_records)
    page = _environment().get_template("report.html.jinja").render(**vars(model), **_sources())
    return page.strip() + "\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(ROOM),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "floored": floored, "visible": visible}
    environment.globals |= {
        "kinds": KINDS,
        "root": ROOT,
        "records": records,
        "counted": counted,
        "about_confidence": about_confidence,
        "interval": interval,
    }
    environment.finalize = _finalize
    return environment


def _finalize(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def visible(text: str) -> str:
    """The text with pictures for control characters, and without what cannot be written as UTF-8."""
    return UNFIT.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").translate(PICTURES))


@cache
def _sources() -> dict[str, Markup]:
    """Style and script as they are, each with the hash by which the page allows it."""
    found = {}
    for name in ("style.css", "script.js"):
        source = files(ROOM).joinpath("templates", name).read_text("utf-8").strip()
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        kind = name.partition(".")[0]
        found[kind], found[f"{kind}_hash"] = Markup(source), Markup(f"sha256-{digest}")
    return found
