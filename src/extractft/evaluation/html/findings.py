"""The sentences that a report comes to: the worst field and what is mostly the matter with it.

Every sentence depends on the numbers that could make it false. Knows numbers and causes; knows no layout.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from extractft.evaluation.calibration_report import about_confidence
from extractft.evaluation.console_tables import ROOT, number, plural, worst_fields
from extractft.evaluation.html.error_causes import ErrorCause
from extractft.evaluation.html.wrong_records import WrongRecord
from extractft.evaluation.metrics import FieldScores, choice_text
from extractft.evaluation.results import Results

__all__ = ["FindingSentence", "Findings", "summarize", "usual_causes"]

WORTH_SAYING = 0.01
FEW_RECORDS = 10


@dataclass(frozen=True, slots=True)
class FindingSentence:
    """A finding and an example: the number of a record and the field that is wrong in it."""

    text: str
    record: int | None = None
    field: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """The sentences that a page opens with.

    Attributes:
        worst: Path of the field with the lowest F1; `None` if no value is wrong.
        ties: Fields that are exactly as bad as the worst one.
        about_worst: A sentence on what is the matter with it.
        nothing_wrong: A sentence for a report in which no value is wrong.
        example: Number of the first record in which it is wrong for the usual cause, if records were kept.
        others: Further sentences.
        causes: The number of errors of each field by cause, if records were kept.
        first: The first record in which each field is wrong.
    """

    worst: str | None
    ties: int
    about_worst: str
    nothing_wrong: str
    example: int | None
    others: tuple[FindingSentence, ...]
    causes: Mapping[str, Mapping[ErrorCause, int]]
    first: Mapping[str, int]


@dataclass(slots=True)
class _CauseCounts:
    """The number of errors of each field by cause, and the records in which each is seen first."""

    causes: dict[str, Counter[ErrorCause]] = field(default_factory=lambda: defaultdict(Counter))
    first: dict[str, int] = field(default_factory=dict)
    examples: dict[tuple[str, ErrorCause], int] = field(default_factory=dict)
    failure: int | None = None

    def add(self, record: WrongRecord) -> None:
        """Count one record."""
        if record.failure and self.failure is None:
            self.failure = record.row
        for item in record.explained:
            if item.cause is not ErrorCause.FAILED:
                path = item.difference.field
                self.causes[path][item.cause] += 1
                self.first.setdefault(path, record.row)
                self.examples.setdefault((path, item.cause), record.row)

    def example(self, path: str) -> int | None:
        """The first record in which a field is wrong for its usual cause."""
        usual = max(self.causes.get(path, {}).items(), key=lambda item: item[1], default=None)
        return None if usual is None else self.examples.get((path, usual[0]), self.failure)


def summarize(results: Results, records: Sequence[WrongRecord], baseline: Results | None = None) -> Findings:
    """Sum a report up in sentences.

    Args:
        results: The report.
        records: Its wrong records, if they were kept.
        baseline: Another report on the same records.
    """
    count = _counted(results, records)
    worst = worst_fields(results.fields)
    return Findings(
        worst=worst[0] if worst else None,
        ties=max(0, len(worst) - 1),
        about_worst=_about(results, worst[0], count.causes.get(worst[0])) if worst else "",
        nothing_wrong="" if worst else _nothing_wrong(results),
        example=count.example(worst[0]) if worst else None,
        others=(*_most(results, worst, count), *map(FindingSentence, _others(results, baseline))),
        causes=dict(count.causes),
        first=count.first,
    )


def usual_causes(causes: Mapping[ErrorCause, int]) -> list[ErrorCause]:
    """The most frequent cause, or several that are equally frequent."""
    most = max(causes.values(), default=0)
    return [cause for cause, count in causes.items() if count == most]


def _counted(results: Results, records: Sequence[WrongRecord]) -> _CauseCounts:
    count = _CauseCounts()
    if results.errors is None:
        return count
    for record in records:
        count.add(record)
    missed = Counter(error.field for error in results.errors if error.kind == "missed")
    for path, scores in results.fields.items():
        lost = scores.missed - missed[path]
        if lost > 0:
            count.causes[path][ErrorCause.FAILED] = lost
    return count


def _nothing_wrong(results: Results) -> str:
    """A sentence for a report in which no field has an error."""
    if not results.valid:
        return "No text gave a record, so there is nothing to judge."
    if results.support + results.predicted == 0:
        return "There is nothing to compare: neither the gold records nor the predictions have any values."
    if results.valid < results.rows:
        return "Every value is right in the records that came out."
    return "Every value of every record is right." if results.rows > 1 else "Every value of the one record is right."


def _most(results: Results, worst: Sequence[str], count: _CauseCounts) -> list[FindingSentence]:
    """The field with the most errors, if it is not the worst one: a rare field can be worst by a single error."""
    errors = {path: _errors(scores) for path, scores in results.fields.items()}
    most = max(errors.values(), default=0)
    paths = [path for path, number_of in errors.items() if number_of == most]
    if not most or any(path in paths for path in worst):
        return []
    path, total = paths[0], sum(errors.values())
    if 2 * most > total:
        head = f"Most errors are in {path or ROOT}, {most} of {total}: "
    elif len(paths) == 1:
        head = f"{path or ROOT} has more errors than any other field, {most} of {total}: "
    else:
        head = f"No field has more errors than {path or ROOT}, {most} of {total}: "
    return [FindingSentence(head + _about(results, path, count.causes.get(path)), count.example(path), path)]


def _errors(scores: FieldScores) -> int:
    return scores.wrong + scores.missed + scores.invented


def _about(results: Results, path: str, causes: Mapping[ErrorCause, int] | None) -> str:
    """F1, how many errors there are, and the cause of most of them."""
    scores = results.fields[path]
    errors = _errors(scores)
    if not scores.support:
        came = plural(scores.predicted, "value")
        return f"{came} came out where the gold {'record has' if results.rows == 1 else 'records have'} none."
    wrong = ErrorCause.CONFUSED if path in results.confusions else ErrorCause.OTHER
    kinds = {wrong: scores.wrong, ErrorCause.MISSED: scores.missed, ErrorCause.INVENTED: scores.invented}
    said = f"F1 {number(scores.f1)}, {plural(errors, 'error')} on {plural(scores.support, 'value')}."
    return f"{said} {_usual(causes or kinds, errors)}{_confused(results, path)}"


def _usual(causes: Mapping[ErrorCause, int], errors: int) -> str:
    first, *others = usual_causes(causes)
    count = causes[first]
    if errors == 1:
        return f"It is {first}."
    if len(others) == 1:
        return f"It is as often {first.brief} as {others[0].brief} ({count} of {errors} each)."
    if others:
        return "It has several causes, and none stands out."
    share = "always" if count == errors else "mostly" if 2 * count > errors else "most often"
    return f"It is {share} {first} ({count} of {errors})."


def _confused(results: Results, path: str) -> str:
    table = results.confusions.get(path)
    usual = table and table.usual()
    if not usual:
        return ""
    gold, prediction = choice_text(usual.gold), choice_text(usual.prediction)
    return f" The two that are confused most: {prediction} came out where {gold} is right, {usual.count} times."


def _others(results: Results, baseline: Results | None) -> list[str]:
    """Further sentences that a reader should know before the tables."""
    found = []
    if baseline is not None:
        found += _against(results, baseline)
    spelling = results.field_f1_normalized - results.field_f1
    if spelling >= WORTH_SAYING:
        found.append(
            f"Spelling alone costs {100 * spelling:.1f} points of field F1: case, width, blanks, marks at the ends, "
            "or another way to write the same number or date."
        )
    if results.valid < results.rows:
        found.append(_lost(results.rows - results.valid, results.rows))
    values = (results.calibration or {}).get("values")
    if values is not None:
        found.append(about_confidence(values))
    return found


def _lost(lost: int, rows: int) -> str:
    if lost == rows:
        return "The only text gave no record at all." if rows == 1 else f"None of the {rows} texts gave a record."
    return f"{lost} of {rows} texts gave no record at all."


def _against(results: Results, baseline: Results) -> list[str]:
    """A sentence if the baseline is as good or better; that it is worse is to be expected, and seen at the scores."""
    mine, theirs = results.field_f1, baseline.field_f1
    if not theirs >= mine:
        return []
    if theirs == mine:
        return [f"This is no better than the baseline: field F1 is {number(mine)} for both."]
    overlap = results.field_f1_interval[1] >= theirs or baseline.field_f1_interval[0] <= mine
    chance = overlap or results.rows < FEW_RECORDS  # intervals of so few records are too narrow
    end = ", which may be chance" if chance else ""
    return [f"The baseline is better: field F1 {number(theirs)} against {number(mine)}{end}."]
