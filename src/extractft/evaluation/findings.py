"""What a report comes to, in sentences: the worst field and what is mostly the matter with it.

Knows numbers and causes; knows no layout.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from extractft.evaluation.causes import Cause
from extractft.evaluation.results import Results
from extractft.evaluation.scores import FieldScores
from extractft.evaluation.tables import ROOT, number, worst_field
from extractft.evaluation.wrong import WrongRecord

__all__ = ["Findings", "Sentence", "find"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something to say, and where it can be seen: the number of a record and the field that is wrong in it."""

    text: str
    record: int | None = None
    field: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """The sentences that a page opens with.

    Attributes:
        worst: Path of the field with the lowest F1; `None` if all values are right.
        about_worst: What is the matter with it.
        example: Number of the first record in which it is wrong for the usual cause, if records were kept.
        others: Further sentences.
        causes: How often each cause stands behind the errors of each field, if records were kept.
        first: The first record in which each field is wrong.
    """

    worst: str | None
    about_worst: str
    example: int | None
    others: tuple[Sentence, ...]
    causes: Mapping[str, Mapping[Cause, int]]
    first: Mapping[str, int]


@dataclass(slots=True)
class _Count:
    """How often each cause stands behind the errors of each field, and where it is seen first."""

    causes: dict[str, Counter[Cause]] = field(default_factory=lambda: defaultdict(Counter))
    first: dict[str, int] = field(default_factory=dict)
    examples: dict[tuple[str, Cause], int] = field(default_factory=dict)
    failure: int | None = None

    def add(self, record: WrongRecord) -> None:
        """Count one record."""
        if record.failure and self.failure is None:
            self.failure = record.row
        for item in record.explained:
            if item.cause is not Cause.FAILED:
                path = item.difference.field
                self.causes[path][item.cause] += 1
                self.first.setdefault(path, record.row)
                self.examples.setdefault((path, item.cause), record.row)

    def example(self, path: str) -> int | None:
        """The first record in which a field is wrong for its usual cause."""
        usual = max(self.causes.get(path, {}).items(), key=lambda item: item[1], default=None)
        return None if usual is None else self.examples.get((path, usual[0]), self.failure)


def find(results: Results, records: Sequence[WrongRecord]) -> Findings:
    """Look through a report."""
    count = _counted(results, records)
    worst = worst_field(results.fields)
    return Findings(
        worst=worst,
        about_worst="" if worst is None else _about(results.fields[worst], count.causes.get(worst)),
        example=None if worst is None else count.example(worst),
        others=(*_most(results, worst, count), *map(Sentence, _others(results))),
        causes=dict(count.causes),
        first=count.first,
    )


def _counted(results: Results, records: Sequence[WrongRecord]) -> _Count:
    count = _Count()
    if results.errors is None:
        return count
    for record in records:
        count.add(record)
    missed = Counter(error.field for error in results.errors if error.kind == "missed")
    for path, scores in results.fields.items():
        lost = scores.missed - missed[path]
        if lost > 0:
            count.causes[path][Cause.FAILED] = lost
    return count


def _most(results: Results, worst: str | None, count: _Count) -> list[Sentence]:
    """The field with the most errors, if it is not the worst one: a rare field can be worst by a single error."""
    errors = {path: _errors(scores) for path, scores in results.fields.items()}
    path = max(errors, key=lambda path: errors[path], default=None)
    if path is None or path == worst or errors[path] <= errors.get(worst or "", 0):
        return []
    text = f"Most errors are in {path or ROOT}, {errors[path]} of {sum(errors.values())}: "
    return [Sentence(text + _about(results.fields[path], count.causes.get(path)), count.example(path), path)]


def _errors(scores: FieldScores) -> int:
    return scores.wrong + scores.missed + scores.invented


def _about(scores: FieldScores, causes: Mapping[Cause, int] | None) -> str:
    """F1, how many errors there are, and the cause of most of them."""
    errors = _errors(scores)
    head = f"F1 {number(scores.f1)}, {_count(errors, 'error')} on {_count(scores.support, 'value')}"
    if causes:
        cause, count = max(causes.items(), key=lambda item: item[1])
        share = "always" if count == errors else "mostly" if 2 * count > errors else "most often"
        return f"{head}. It is {share} {cause} ({count} of {errors})."
    kinds = {"another value": scores.wrong, str(Cause.MISSED): scores.missed, str(Cause.INVENTED): scores.invented}
    kind, count = max(kinds.items(), key=lambda item: item[1])
    return f"{head}. It is {'always' if count == errors else 'mostly'} {kind} ({count} of {errors})."


def _others(results: Results) -> list[str]:
    """What else a reader should know before the tables."""
    found = []
    spelling = results.field_f1_normalized - results.field_f1
    if spelling >= 0.01:
        found.append(
            f"Spelling alone (case, width, blanks, marks at the ends) costs {100 * spelling:.1f} points of field F1."
        )
    lost = results.rows - results.valid
    if lost:
        found.append(f"{lost} of {_count(results.rows, 'text')} gave no record at all.")
    values = (results.calibration or {}).get("values")
    if values is not None:
        found.append(_about_confidence(values.confidence - values.accuracy, values.ece, values.ece_by_chance))
    return found


def _about_confidence(excess: float, ece: float, chance: float) -> str:
    if ece <= max(0.02, 1.5 * chance):
        return f"Confidences of values can be believed: they are off by {100 * ece:.1f} points on average."
    way = "too high" if excess > 0 else "too low"
    return f"Confidences of values are off by {100 * ece:.1f} points on average, {way} as a rule."


def _count(number_of: int, what: str) -> str:
    return f"{number_of} {what}" if number_of == 1 else f"{number_of} {what}s"
