"""The parts of the page as data: headline numbers, rows of its tables, plots and wrong records. Knows no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from extractft.evaluation.calibration_report import CalibrationReport
from extractft.evaluation.console_tables import interval, number
from extractft.evaluation.html.error_causes import ErrorCause
from extractft.evaluation.html.findings import Findings, summarize, usual_causes
from extractft.evaluation.html.plots import Plot, coverage_plot, learning_plot, reliability_plot
from extractft.evaluation.html.wrong_records import WrongRecord, wrong_records
from extractft.evaluation.learning_curve import LearningPoint, advice
from extractft.evaluation.metrics import Confusions, FieldScores, choice_text
from extractft.evaluation.results import Results

__all__ = ["KINDS", "MOST_PAIRS_SHOWN", "PageModel", "build_page"]

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


@dataclass(frozen=True, slots=True)
class ScoreCard:
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
class ConfusedChoices:
    """A right choice and the one that came out, in words, with the number of times."""

    gold: str
    prediction: str
    count: int


@dataclass(frozen=True, slots=True)
class ConfusedField:
    """The confusion table of one field.

    Attributes:
        index: Number of the field.
        path: Its path.
        errors: Values that are wrong, missed or invented.
        pairs: The most frequent pairs.
        rest: Errors in other pairs.
        labels: Right choices and those that came out, in words, the last being for no value; none if they are many.
        counts: For each right choice, how often each came out; `None` where that is not known.
    """

    index: int
    path: str
    errors: int
    pairs: list[ConfusedChoices]
    rest: int
    labels: list[str]
    counts: list[list[int | None]]


@dataclass(frozen=True, slots=True)
class ConfidenceSection:
    """The calibration of one kind of confidence, with its plots."""

    what: str
    report: CalibrationReport
    reliability: Plot
    coverage: Plot


@dataclass(frozen=True)
class PageModel:
    """All that the template is given of an evaluation.

    Attributes:
        results: The results that the page is about.
        baseline: Other results on the same records.
        findings: The sentences that it opens with.
        cards: The headline numbers.
        fields: The rows of the table of fields.
        numbers: The number of each field by its path.
        confused: The confusion tables.
        confidences: The calibration of each kind of confidence.
        learning: The learning curve, if there is one.
        advice: A sentence on more examples, if there is a learning curve.
        wrong: The wrong records that are listed.
        shown: Their numbers.
        wrong_count: The number of all wrong records.
        used_kinds: The kinds of errors that occur.
    """

    results: Results
    baseline: Results | None
    findings: Findings
    cards: list[ScoreCard]
    fields: list[FieldRow]
    numbers: dict[str, int]
    confused: list[ConfusedField]
    confidences: list[ConfidenceSection]
    learning: Plot | None
    advice: str
    wrong: list[WrongRecord]
    shown: set[int]
    wrong_count: int
    used_kinds: list[str]


def build_page(
    results: Results, *, baseline: Results | None, learning_curve: Sequence[LearningPoint], max_records: int
) -> PageModel:
    """Gather all that the page shows.

    Args:
        results: The results that the page is about.
        baseline: Other results on the same records.
        learning_curve: Scores after training on more and more rows.
        max_records: Wrong records that are listed at most.
    """
    wrong = wrong_records(results.errors or (), results.texts, results.numbers)
    findings = summarize(results, wrong, baseline)
    listed = _listed(wrong, findings, max_records)
    shown = {record.row for record in listed}
    fields = _field_rows(results, baseline, findings, shown)
    kinds = {error.kind for error in results.errors or ()}
    return PageModel(
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
        used_kinds=[kind for kind in KINDS if kind in kinds],
    )


def _cards(results: Results, baseline: Results | None) -> list[ScoreCard]:
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
        ScoreCard(
            "invented values",
            str(results.invented),
            "where the gold record has none",
            "" if invented is None else f"was {invented}",
            None if invented is None or invented == results.invented else results.invented < invented,
        ),
    ]
    if results.ungrounded is not None:
        cards.append(ScoreCard("ungrounded", str(results.ungrounded), "free text that stands nowhere in its text"))
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


def _ratio_card(name: str, results: Results, baseline: Results | None, attribute: str, note: str) -> ScoreCard:
    value = getattr(results, attribute)
    if baseline is None:
        return ScoreCard(name, number(value), note)
    before = getattr(baseline, attribute)
    same = number(value) == number(before)
    return ScoreCard(name, number(value), note, f"was {number(before)}", None if same else value > before)


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


def _cause(causes: Mapping[ErrorCause, int]) -> str:
    """The usual cause, or two that are equally frequent."""
    usual = usual_causes(causes)
    return "various" if len(usual) > MOST_CAUSES else ", ".join(cause.brief for cause in usual)


def _confused(results: Results, fields: Sequence[FieldRow]) -> list[ConfusedField]:
    """The fields of choices that have errors, in the order of the table."""
    return [
        _confused_field(row, results.confusions[row.path])
        for row in fields
        if row.path in results.confusions and results.confusions[row.path].errors
    ]


def _confused_field(row: FieldRow, table: Confusions) -> ConfusedField:
    labels, matrix = table.matrix()
    counts: list[list[int | None]] = [[*line] for line in matrix]
    counts[-1][-1] = row.silent
    small = len(labels) <= MOST_LABELS + 1
    frequent = table.wrong[:MOST_PAIRS_SHOWN]
    pairs = [ConfusedChoices(choice_text(p.gold), choice_text(p.prediction), p.count) for p in frequent]
    return ConfusedField(
        index=row.index,
        path=row.path,
        errors=table.errors,
        pairs=pairs,
        rest=table.errors - sum(pair.count for pair in pairs),
        labels=[choice_text(label) for label in labels] if small else [],
        counts=counts if small else [],
    )


def _confidences(results: Results) -> list[ConfidenceSection]:
    return [
        ConfidenceSection(what, report, reliability_plot(report, what), coverage_plot(report, what))
        for what, report in (results.calibration or {}).items()
    ]


def _listed(wrong: Sequence[WrongRecord], findings: Findings, limit: int) -> list[WrongRecord]:
    """The first records, and for each field the first one in which it is wrong."""
    if len(wrong) <= limit:
        return list(wrong)
    needed = {*findings.first.values(), findings.example, *(sentence.record for sentence in findings.others)}
    chosen = {record.row for record in sorted(wrong, key=lambda record: (record.row not in needed, record.row))[:limit]}
    return [record for record in wrong if record.row in chosen]
