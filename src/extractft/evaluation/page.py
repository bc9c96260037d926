"""The report as one page of HTML. Knows what stands where on it; knows no schema and no model.

Everything is put in by a template that escapes it: names, texts and values are data of strangers. The page asks
browsers to load nothing and to run nothing but its own few lines, which are named by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from extractft.evaluation.calibration import CalibrationReport
from extractft.evaluation.findings import Findings, find
from extractft.evaluation.learning import LearningPoint, advice
from extractft.evaluation.plots import Plot, coverage_plot, learning_plot, reliability_plot
from extractft.evaluation.results import Results
from extractft.evaluation.scores import FieldScores
from extractft.evaluation.tables import ROOT, number, records
from extractft.evaluation.wrong import WrongRecord, wrong_records

__all__ = ["render_page"]

KINDS = {
    "wrong": "wrong: another value",
    "missed": "missed: no value",
    "invented": "invented: no gold value",
    "invalid": "refused by a validator",
    "truncated": "cut by the budget",
    "error": "failed otherwise",
}
PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)} | {0x7F: "␡"}
PICTURES |= {code: f"⟨U+{code:04X}⟩" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
"""What is shown for control characters, and for those that would turn the text after them round."""
UNFIT = re.compile("[\x80-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Card:
    """A headline number."""

    name: str
    value: str
    note: str = ""
    change: str = ""
    better: bool | None = None


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A row of the table of fields and of the table of absent values."""

    index: int
    path: str
    scores: FieldScores
    before: float | None
    worst: bool
    first: int | None
    cause: str
    silent: int | None


@dataclass(frozen=True, slots=True)
class Confidence:
    """What was measured of one kind of confidence."""

    what: str
    report: CalibrationReport
    reliability: Plot
    coverage: Plot


def render_page(
    results: Results,
    *,
    baseline: Results | None = None,
    learning_curve: Sequence[LearningPoint] = (),
    max_records: int = 1000,
) -> str:
    """The page. The same results give the same text.

    Args:
        results: What the page is about.
        baseline: Other results on the same records.
        learning_curve: Scores after training on more and more rows.
        max_records: Wrong records that are listed at most.
    """
    wrong = wrong_records(results.errors or (), results.texts)
    findings = find(results, wrong)
    listed = _listed(wrong, findings, max_records)
    fields = _field_rows(results, baseline, findings, {record.row for record in listed})
    template = _environment().get_template("report.html.jinja")
    page = template.render(
        results=results,
        baseline=baseline,
        findings=findings,
        cards=_cards(results, baseline),
        fields=fields,
        numbers={row.path: row.index for row in fields},
        confidences=_confidences(results),
        learning=learning_plot(learning_curve) if learning_curve else None,
        advice=advice(learning_curve) if learning_curve else "",
        wrong=listed,
        wrong_count=len(wrong),
        kinds=KINDS,
        used_kinds=[kind for kind in KINDS if any(error.kind == kind for error in results.errors or ())],
        root=ROOT,
        records=records,
        **_sources(),
    )
    return page.strip() + "\n"


def _cards(results: Results, baseline: Results | None) -> list[Card]:
    low, high = results.field_f1_interval
    exact_low, exact_high = results.exact_rate_interval
    invented = None if baseline is None else baseline.invented
    cards = [
        _ratio_card("field F1", results, baseline, "field_f1", f"95 % interval {low:.3f} to {high:.3f}"),
        _ratio_card(
            "exact records", results, baseline, "exact_rate", f"95 % interval {exact_low:.3f} to {exact_high:.3f}"
        ),
        _ratio_card("precision", results, baseline, "precision", "of what it says, this much is right"),
        _ratio_card("recall", results, baseline, "recall", "of what there is, this much is found"),
        _ratio_card("valid records", results, baseline, "valid_rate", _failures(results)),
        Card(
            "invented values",
            str(results.invented),
            "where the gold record has none",
            "" if invented is None else f"was {invented}",
            None if invented is None or invented == results.invented else results.invented < invented,
        ),
    ]
    if results.ungrounded is not None:
        cards.append(Card("ungrounded", str(results.ungrounded), "free text that stands nowhere in its text"))
    return cards


def _failures(results: Results) -> str:
    counts = {"invalid": results.invalid, "truncated": results.truncated, "failed": results.failed}
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return found or f"all {results.rows}"


def _ratio_card(name: str, results: Results, baseline: Results | None, attribute: str, note: str) -> Card:
    value = getattr(results, attribute)
    if baseline is None:
        return Card(name, number(value), note)
    before = getattr(baseline, attribute)
    same = round(value, 3) == round(before, 3)
    return Card(name, number(value), note, f"was {number(before)}", None if same else value > before)


def _field_rows(results: Results, baseline: Results | None, findings: Findings, listed: set[int]) -> list[FieldRow]:
    """Fields, lowest F1 first; those without scores last."""
    rows = []
    for index, (path, scores) in enumerate(results.fields.items()):
        before = None if baseline is None else baseline.fields.get(path)
        causes = findings.causes.get(path, {})
        first = findings.first.get(path)
        rows.append(
            FieldRow(
                index=index,
                path=path,
                scores=scores,
                before=None if before is None else before.f1,
                worst=path == findings.worst,
                first=first if first in listed else None,
                cause=max(causes, key=lambda cause: causes[cause]).brief if causes else "",
                silent=None if "*" in path.split(".") else results.rows - scores.support - scores.invented,
            )
        )
    return sorted(rows, key=lambda row: (row.scores.f1 is None, row.scores.f1 or 0.0, -row.scores.fn, row.index))


def _confidences(results: Results) -> list[Confidence]:
    return [
        Confidence(what, report, reliability_plot(report, what), coverage_plot(report, what))
        for what, report in (results.calibration or {}).items()
    ]


def _listed(wrong: Sequence[WrongRecord], findings: Findings, limit: int) -> list[WrongRecord]:
    """The first records, among them the first one of each field."""
    if len(wrong) <= limit:
        return list(wrong)
    needed = {*findings.first.values(), findings.example, *(sentence.record for sentence in findings.others)}
    chosen = {record.row for record in sorted(wrong, key=lambda record: (record.row not in needed, record.row))[:limit]}
    return [record for record in wrong if record.row in chosen]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("extractft.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "visible": visible}
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
        source = files("extractft.evaluation").joinpath("templates", name).read_text("utf-8").strip()
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        kind = name.partition(".")[0]
        found[kind], found[f"{kind}_hash"] = Markup(source), Markup(f"sha256-{digest}")
    return found
