"""The report of a verification: the numbers, ready to be printed, stored and judged. Holds no texts and no values."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import Field
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from extractft.evaluation.console_tables import number, plain, plural, records, summary
from extractft.evaluation.frozen_model import FrozenModel

__all__ = ["DEFAULT_MIN_EQUAL", "RecordDifference", "SideScores", "VerificationReport"]

DEFAULT_MIN_EQUAL = 0.99


class SideScores(FrozenModel):
    """Scores of one side against the gold records."""

    field_f1: float
    """F1 over all values of all records, exact match."""
    field_f1_error: float
    """Standard error of `field_f1`, from a bootstrap over records."""
    exact_rate: float
    """Share of records in which every value is right."""
    valid_rate: float
    """Share of texts that gave a record."""
    ece_values: float | None
    """Expected calibration error of the values' confidences; `None` where nothing could be measured."""
    ece_records: float | None
    """Expected calibration error of the records' confidences."""


class RecordDifference(FrozenModel):
    """A text for which the two sides gave different records. Private data."""

    row: int
    """Row number in the user's file."""
    reference: str | None = Field(default=None, repr=False)
    """The JSON that the reference wrote; `None` if it gave no record."""
    candidate: str | None = Field(default=None, repr=False)
    """The JSON that the candidate wrote."""


class VerificationReport(FrozenModel):
    """An extractor and something that should give the same records, on the same texts."""

    name: str
    """The candidate: an export's format and type, or a server."""
    rows: int
    """Texts that both sides decoded."""
    prompts_equal: int
    """Texts for which both sides make the same prompt, token by token."""
    records_equal: int
    """Texts for which both sides give the same record, or fail in the same way; failures of servers are never equal."""
    records_compared: int
    """Texts for which both sides give a record, the same or not."""
    tokens_equal: int
    """Texts for which both sides write the same tokens."""
    only_reference: int
    """Texts for which the reference alone gives a record."""
    only_candidate: int
    """Texts for which the candidate alone gives a record."""
    fields: dict[str, int]
    """Values that differ, counted by field; `*` stands for list positions and map keys."""
    widest_gap: float | None
    """Widest distance of two constrained log-probabilities of the same token behind the same tokens; `None` if no
    token was written by both sides."""
    widest_margin: float | None
    """Log-probability of the reference's own token less that of the candidate's, where the two first differ; the widest
    of all. Small where both tokens were about equally likely; `None` if nothing differs or it is unknown."""
    confidence_gap: float | None
    """Mean distance of the two confidences of a record, over texts for which both sides give one."""
    widest_confidence_gap: float | None
    """The widest such distance."""
    reference: SideScores
    """The scores of the extractor."""
    candidate: SideScores
    """The scores of what was held against it."""
    quantized: bool
    """True if the candidate's weights have less than 16 bits."""
    min_equal: float | None
    """Share of equal records that was asked for; `None` if only the score has to agree."""
    differences: tuple[RecordDifference, ...] | None = Field(default=None, repr=False)
    """Texts for which the records differ, if they were asked for. Private data, never printed."""

    @property
    def equal_rate(self) -> float:
        """Share of texts for which both sides give the same record."""
        return self.records_equal / self.rows

    @property
    def failures(self) -> tuple[str, ...]:
        """The reasons for which the candidate does not pass, in words; empty if it does."""
        return tuple(self._failures())

    @property
    def passed(self) -> bool:
        """True if the candidate may stand in for the extractor."""
        return not self.failures

    def to_json(self) -> str:
        """The numbers as JSON, with the verdict; texts and records only if they were asked for."""
        verdict = {"passed": self.passed, "failures": list(self.failures), "equal_rate": self.equal_rate}
        return json.dumps({**self.model_dump(mode="json"), **verdict}, indent=2, ensure_ascii=False)

    def _failures(self) -> Iterator[str]:
        if self.prompts_equal < self.rows:
            found = f"{self.prompts_equal} of {self.rows} prompts"
            yield f"expected the extractor's prompts, found {found} the same: another tokenizer or chat template"
        if not self.records_compared:
            yield f"expected texts for which both sides give a record, found none of {self.rows}: nothing was compared"
        if self.min_equal is not None and self.equal_rate < self.min_equal:
            yield f"expected {self.min_equal:.1%} of the records to be equal, found {self.equal_rate:.1%}"
        least = self.reference.field_f1 - self.reference.field_f1_error
        if self.quantized and self.candidate.field_f1 < least:
            yield (
                f"expected a field F1 within one standard error of the extractor's ({least:.3f} or more), found "
                f"{self.candidate.field_f1:.3f}"
            )

    def __rich__(self) -> Group:
        """Tables for a rich console; no values of records are shown."""
        shown: list[RenderableType] = [Text(f"{self.name}: {records(self.rows)}"), summary(self._lines()), ""]
        shown.append(self._sides())
        if self.fields:
            shown += ["", self._fields()]
        verdict = "the same" if self.passed else "NOT the same:"
        shown += ["", Text("\n".join([verdict, *(f"  {reason}" for reason in self.failures)]))]
        return Group(*shown)

    def __str__(self) -> str:
        return plain(self.__rich__())

    def _lines(self) -> list[tuple[str, str]]:
        alone = f"; {self.only_reference} from the extractor alone, {self.only_candidate} from the candidate alone"
        return [
            ("prompts equal", f"{self.prompts_equal} of {self.rows}"),
            ("records equal", f"{self.records_equal} of {self.rows} ({self.equal_rate:.1%}){alone}"),
            ("tokens equal", f"{self.tokens_equal} of {self.rows}"),
            ("widest gap of log-probabilities", _small(self.widest_gap)),
            ("widest margin where tokens differ", _small(self.widest_margin)),
            (
                "gap of confidences",
                f"{_small(self.confidence_gap)} on average, {_small(self.widest_confidence_gap)} at most",
            ),
        ]

    def _sides(self) -> Table:
        table = Table("", "extractor", "candidate", box=None, pad_edge=False)
        for name, label in (
            ("field_f1", "field F1"),
            ("field_f1_error", "  standard error"),
            ("exact_rate", "exact records"),
            ("valid_rate", "valid records"),
            ("ece_values", "calibration error, values"),
            ("ece_records", "calibration error, records"),
        ):
            table.add_row(label, number(getattr(self.reference, name)), number(getattr(self.candidate, name)))
        return table

    def _fields(self) -> Table:
        table = Table("field", "differs", box=None, pad_edge=False)
        for path, count in sorted(self.fields.items(), key=lambda item: (-item[1], item[0])):
            table.add_row(Text(path or "(value)"), plural(count, "time"))
        return table


def _small(value: float | None) -> str:
    """A distance with two digits, however small."""
    return "–" if value is None else f"{value:.2g}"
