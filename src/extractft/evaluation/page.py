"""The report as one page of HTML. Knows what stands where on it; knows no schema and no model.

Everything is put in by a template that escapes it: names, texts and values are data of strangers. The page asks
browsers to load nothing and to run nothing but its own few lines, which are named by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from extractft.evaluation.belief import about_confidence
from extractft.evaluation.calibration import CalibrationReport
from extractft.evaluation.causes import Cause
from extractft.evaluation.confusions import Confusions, choice_text
from extractft.evaluation.findings import Findings, find, usual_causes
from extractft.evaluation.learning import LearningPoint, advice
from extractft.evaluation.plots import Plot, counted, coverage_plot, learning_plot, reliability_plot
from extractft.evaluation.results import Results
from extractft.evaluation.scores import FieldScores
from extractft.evaluation.tables import ROOT, floored, interval, number, records
from extractft.evaluation.wrong import WrongRecord, wrong_records

__all__ = ["render_page"]

MOST_CAUSES, MOST_LABELS, MOST_PAIRS_SHOWN = 2, 12, 20
"""Causes named of one field; choices in a table of all against all; pairs of choices that are listed."""
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
class Confused:
    """Which choices of a field were taken for which.

    Attributes:
        index: Number of the field.
        path: Its path.
        errors: Values that are wrong, missed or invented.
        pairs: The most frequent pairs, in words, with how often each occurs.
        rest: Errors in other pairs.
        labels: Right choices and those that came out, in words, the last being for no value; none if they are many.
        counts: For each right choice, how often each came out; `None` where that is not known.
    """

    index: int
    path: str
    errors: int
    pairs: list[tuple[str, str, int]]
    rest: int
    labels: list[str]
    counts: list[list[int | None]]


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
    wrong = wrong_records(results.errors or (), results.texts, results.numbers)
    findings = find(results, wrong, baseline)
    listed = _listed(wrong, findings, max_records)
    shown = {record.row for record in listed}
    fields = _field_rows(results, baseline, findings, shown)
    template = _environment().get_template("report.html.jinja")
    page = template.render(
        results=results,
        baseline=baseline,
        findings=findings,
        cards=_cards(results, baseline),
        fields=fields,
        numbers={row.path: row.index for row in fields},
        confused=_confused(results, fields),
        confidences=_confidences(results),
        learning=learning_plot(learning_curve) if learning_curve else None,
        advice=advice(learning_curve) if learning_curve else "",
        wrong=listed,
        shown=shown,
        wrong_count=len(wrong),
        kinds=KINDS,
        used_kinds=[kind for kind in KINDS if any(error.kind == kind for error in results.errors or ())],
        root=ROOT,
        records=records,
        counted=counted,
        about_confidence=about_confidence,
        interval=interval,
        **_sources(),
    )
    return page.strip() + "\n"


def _cards(results: Results, baseline: Results | None) -> list[Card]:
    low_high, exact_low_high = results.field_f1_interval, results.exact_rate_interval
    said = "of what it says, this much is right" if results.predicted else "it says nothing"
    there = "of what there is, this much is found" if results.support else "there is nothing to find"
    invented = None if baseline is None else baseline.invented
    cards = [
        _ratio_card("field F1", results, baseline, "field_f1", interval(low_high, results.rows)),
        _ratio_card("exact records", results, baseline, "exact_rate", interval(exact_low_high, results.rows)),
        _ratio_card("precision", results, baseline, "precision", said),
        _ratio_card("recall", results, baseline, "recall", there),
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
    kept = max(0, results.valid + results.invalid + results.truncated + results.failed - results.rows)
    counts = {
        "invalid": results.invalid,
        "truncated": results.truncated - kept,
        "failed": results.failed,
        "cut short but kept": kept,
    }
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return found or f"all {results.rows}"


def _ratio_card(name: str, results: Results, baseline: Results | None, attribute: str, note: str) -> Card:
    value = getattr(results, attribute)
    if baseline is None:
        return Card(name, number(value), note)
    before = getattr(baseline, attribute)
    same = number(value) == number(before)
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
                cause=_cause(causes),
                silent=None if "*" in path.split(".") else results.rows - scores.support - scores.invented,
            )
        )
    return sorted(rows, key=lambda row: (row.scores.f1 is None, row.scores.f1 or 0.0, -row.scores.fn, row.index))


def _cause(causes: Mapping[Cause, int]) -> str:
    """The usual cause, or two that are equally frequent."""
    usual = usual_causes(causes)
    return "various" if len(usual) > MOST_CAUSES else ", ".join(cause.brief for cause in usual)


def _confused(results: Results, fields: Sequence[FieldRow]) -> list[Confused]:
    """The fields of choices that have errors, in the order of the table."""
    return [
        _confused_field(row, results.confusions[row.path])
        for row in fields
        if row.path in results.confusions and results.confusions[row.path].errors
    ]


def _confused_field(row: FieldRow, table: Confusions) -> Confused:
    labels, matrix = table.matrix()
    counts: list[list[int | None]] = [[*line] for line in matrix]
    counts[-1][-1] = row.silent
    small = len(labels) <= MOST_LABELS + 1
    pairs = [(choice_text(p.gold), choice_text(p.prediction), p.count) for p in table.wrong[:MOST_PAIRS_SHOWN]]
    return Confused(
        index=row.index,
        path=row.path,
        errors=table.errors,
        pairs=pairs,
        rest=table.errors - sum(count for _, _, count in pairs),
        labels=[choice_text(label) for label in labels] if small else [],
        counts=counts if small else [],
    )


def _confidences(results: Results) -> list[Confidence]:
    return [
        Confidence(what, report, reliability_plot(report, what), coverage_plot(report, what))
        for what, report in (results.calibration or {}).items()
    ]


def _listed(wrong: Sequence[WrongRecord], findings: Findings, limit: int) -> list[WrongRecord]:
    """The first records, and for each field the first one in which it is wrong."""
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
    environment.filters |= {"number": number, "floored": floored, "visible": visible}
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
