"""What a report comes to, in sentences: the worst field and what is mostly the matter with it.

Knows numbers and causes; knows no layout.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from extractft.evaluation.causes import Cause
from extractft.evaluation.results import Results
from extractft.evaluation.scores import FieldScores
from extractft.evaluation.tables import ROOT, number, worst_field
from extractft.evaluation.wrong import WrongRecord

__all__ = ["Findings", "find"]


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
    others: tuple[str, ...]
    causes: Mapping[str, Mapping[Cause, int]]
    first: Mapping[str, int]


def find(results: Results, records: Sequence[WrongRecord]) -> Findings:
    """Look through a report."""
    causes, first, examples = _causes(results, records)
    worst = worst_field(results.fields)
    usual = max(causes.get(worst or "", {}).items(), key=lambda item: item[1], default=None)
    return Findings(
        worst=worst,
        about_worst="" if worst is None else _about(results.fields[worst], causes.get(worst)),
        example=examples.get((worst or "", usual[0]), _first_failure(records)) if usual else None,
        others=tuple(_others(results, worst)),
        causes=causes,
        first=first,
    )


def _causes(
    results: Results, records: Sequence[WrongRecord]
) -> tuple[dict[str, Counter[Cause]], dict[str, int], dict[tuple[str, Cause], int]]:
    """Causes by field; the first record of each field, and of each field and cause."""
    causes: dict[str, Counter[Cause]] = defaultdict(Counter)
    first: dict[str, int] = {}
    examples: dict[tuple[str, Cause], int] = {}
    if results.errors is None:
        return {}, {}, {}
    for record in records:
        for item in record.explained:
            if item.cause is not Cause.FAILED:
                causes[item.difference.field][item.cause] += 1
                first.setdefault(item.difference.field, record.row)
                examples.setdefault((item.difference.field, item.cause), record.row)
    missed = Counter(error.field for error in results.errors if error.kind == "missed")
    for path, scores in results.fields.items():
        lost = scores.missed - missed[path]
        if lost > 0:
            causes[path][Cause.FAILED] = lost
    return dict(causes), first, examples


def _first_failure(records: Sequence[WrongRecord]) -> int | None:
    return next((record.row for record in records if record.failure), None)


def _about(scores: FieldScores, causes: Mapping[Cause, int] | None) -> str:
    """F1, how many errors there are, and the cause of most of them."""
    errors = scores.wrong + scores.missed + scores.invented
    head = f"F1 {number(scores.f1)}, {_count(errors, 'error')} on {_count(scores.support, 'value')}"
    if causes:
        cause, count = max(causes.items(), key=lambda item: item[1])
        share = "always" if count == errors else "mostly" if 2 * count > errors else "most often"
        return f"{head}. It is {share} {cause} ({count} of {errors})."
    kinds = {"another value": scores.wrong, str(Cause.MISSED): scores.missed, str(Cause.INVENTED): scores.invented}
    kind, count = max(kinds.items(), key=lambda item: item[1])
    return f"{head}. It is {'always' if count == errors else 'mostly'} {kind} ({count} of {errors})."


def _others(results: Results, worst: str | None) -> list[str]:
    """What else a reader should know before the tables."""
    found = []
    errors = {path: s.wrong + s.missed + s.invented for path, s in results.fields.items()}
    total = sum(errors.values())
    most = max(errors, key=lambda path: errors[path], default=None)
    if most is not None and most != worst and errors[most] > errors.get(worst or "", 0):
        found.append(f"Most errors are in {most or ROOT}: {errors[most]} of {total}.")
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
