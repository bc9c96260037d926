"""The report of a check of examples, to print and to store. Quotes no text and no value of the examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from extractft.errors import RowIssue

__all__ = ["CheckReport", "FieldSummary", "Finding", "Severity", "Split"]

Severity = Literal["error", "warning", "info"]
Split = Literal["train", "eval"]
STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
MAX_SHOWN_ROWS = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of the check.

    | kind | severity | meaning |
    | --- | --- | --- |
    | `refused` | error | the grammar cannot produce the output, so the row cannot be learned |
    | `too_long` | error, warning | longer than `max_length`: refused, or left out with `overlong="skip"` |
    | `not_verbatim` | error | values of a verbatim field are not in their text, so the row cannot be learned |
    | `duplicate` | warning | same text and output more than once |
    | `conflict` | warning | same text, different outputs: at most one of them can be learned |
    | `leak` | warning | the text stands in training and held-out rows |
    | `near_leak` | info | so it does but for punctuation and blanks |
    | `answer_in_text` | error, warning | the text holds its own output as JSON; a warning if few rows do |
    | `placeholder` | warning | free texts of a field, or whole texts, are words for absence: NULL, N/A, 无 |
    | `ungrounded` | warning, info | free texts of a field stand nowhere in their text; info if most do not |
    | `could_be_verbatim` | info | all free texts of a field are copied: it could be marked `Verbatim` |
    | `blank_string` | warning | empty strings in a field |
    | `never_filled` | warning | a field that is always absent, empty or its default |
    | `never_absent` | info | a field that may be absent and never is |
    | `unseen_value` | info | values of an enum without an example |
    | `imbalance` | info | nearly all values of an enum are the same |
    | `few_examples` | info | fewer than 20 training rows |

    Attributes:
        kind: Short machine-readable name, such as `"leak"`.
        severity: `error`: training must not start; `warning`: most likely a mistake in the data; `info`: good to know.
        message: What was found and what it means.
        rows: The rows concerned, from 1, in the order of the examples; empty if it concerns all of them.
        field: Path to the field, positions in lists as `*`: `"lines.*.total"`; empty for rows as a whole.
        split: The split that `rows` counts in.
    """

    kind: str
    severity: Severity
    message: str
    rows: tuple[int, ...] = ()
    field: str = ""
    split: Split = "train"

    @property
    def count(self) -> int:
        """Number of rows concerned; 0 for a finding about all of them."""
        return len(self.rows)

    @property
    def where(self) -> str:
        """The field and the first rows, as words for a message."""
        parts = [self.field] if self.field else []
        if self.rows:
            shown = ", ".join(str(row) for row in self.rows[:MAX_SHOWN_ROWS])
            more = f" and {len(self.rows) - MAX_SHOWN_ROWS} more" if len(self.rows) > MAX_SHOWN_ROWS else ""
            held_out = "held-out " if self.split == "eval" else ""
            parts.append(f"{held_out}row{'s' if len(self.rows) > 1 else ''} {shown}{more}")
        return "; ".join(parts)

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        return f"{self.kind}: {self.message}{where}"


@dataclass(frozen=True, slots=True)
class FieldSummary:
    """Counts of how a field is used in the training rows.

    Attributes:
        path: Path to the field, positions in lists as `*`.
        total: Objects that have the field.
        filled: Of these, those in which it is not null, empty or its default.
        strings: Number of its values that are free text.
        ungrounded: Of these, those that are nowhere in their text.
    """

    path: str
    total: int
    filled: int
    strings: int
    ungrounded: int


@dataclass(frozen=True, repr=False, slots=True)
class CheckReport:
    """All findings about a set of examples.

    Attributes:
        findings: Errors first, then warnings, then notes.
        train_rows: Number of training rows.
        eval_rows: Number of held-out rows.
        fields: Use of each field in the training rows.
    """

    findings: tuple[Finding, ...] = ()
    train_rows: int = 0
    eval_rows: int = 0
    fields: tuple[FieldSummary, ...] = ()

    def __repr__(self) -> str:
        found = ", ".join(f"{name}={len(getattr(self, name))}" for name in ("errors", "warnings", "infos"))
        return f"CheckReport(train_rows={self.train_rows}, eval_rows={self.eval_rows}, {found})"

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings with which training must not start."""
        return self._of("error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that are most likely mistakes in the data."""
        return self._of("warning")

    @property
    def infos(self) -> tuple[Finding, ...]:
        """Findings that are good to know."""
        return self._of("info")

    @property
    def ok(self) -> bool:
        """True if there is no error; there may be warnings."""
        return not self.errors

    def of_kind(self, kind: str) -> tuple[Finding, ...]:
        """The findings of one kind."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def issues(self) -> list[RowIssue]:
        """The errors as `DatasetError` takes them, one for each row."""
        return [
            RowIssue(row, finding.kind, f"{finding.message} (held out)" if finding.split == "eval" else finding.message)
            for finding in self.errors
            for row in finding.rows
        ]

    def renumbered(self, train: Sequence[int], held_out: Sequence[int]) -> CheckReport:
        """The same report with row numbers of a larger set that the rows were taken from; pieces of a row are one row.

        Args:
            train: For each training row, in order, its number there.
            held_out: The same for the held-out rows.
        """
        numbers = {"train": train, "eval": held_out}
        findings = tuple(
            replace(finding, rows=tuple(dict.fromkeys(numbers[finding.split][row - 1] for row in finding.rows)))
            for finding in self.findings
        )
        return replace(self, findings=findings)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {
            "ok": self.ok,
            "train_rows": self.train_rows,
            "eval_rows": self.eval_rows,
            "findings": [{**asdict(finding), "rows": list(finding.rows)} for finding in self.findings],
            "fields": [asdict(summary) for summary in self.fields],
        }

    def _of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == severity)

    def _headline(self) -> str:
        rows = f"{self.train_rows} training rows"
        if self.eval_rows:
            rows += f", {self.eval_rows} held out"
        counts = [
            (len(self.errors), "error", "errors"),
            (len(self.warnings), "warning", "warnings"),
            (len(self.infos), "note", "notes"),
        ]
        return f"{rows}: " + ", ".join(f"{n} {one if n == 1 else many}" for n, one, many in counts)

    def __str__(self) -> str:
        return "\n".join([self._headline(), *(f"  {found.severity:<8}{found}" for found in self.findings)])

    def __rich__(self) -> Group:
        parts: list[Any] = [Text(self._headline(), style="bold")]
        if self.findings:
            parts.append(self._findings_table())
        if self.fields:
            parts.append(_fields_table(self.fields))
        return Group(*parts)

    def _findings_table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in ("", "kind", "finding", "where"):
            table.add_column(heading)
        for found in self.findings:
            severity = Text(found.severity, style=STYLES[found.severity])
            table.add_row(severity, Text(found.kind), Text(found.message), Text(found.where))
        return table


def _fields_table(fields: Sequence[FieldSummary]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("field")
    for heading in ("filled", "of", "not in the text"):
        table.add_column(heading, justify="right")
    for summary in fields:
        ungrounded = f"{summary.ungrounded} of {summary.strings}" if summary.strings else "-"
        table.add_row(Text(summary.path or "(record)"), str(summary.filled), str(summary.total), ungrounded)
    return table
