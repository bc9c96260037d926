"""What an evaluation found: the numbers, ready to be printed, stored and compared. Knows no schema and no model."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Group
from rich.text import Text

from extractft.errors import DatasetError
from extractft.evaluation.scores import FieldScores
from extractft.evaluation.tables import comparison_table, field_table, number, plain, records, summary

__all__ = ["Comparison", "Difference", "EvaluationReport"]

FailureKind = Literal["invalid", "truncated", "error"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Difference(_Frozen):
    """One value in which a prediction differs from its gold record, or one record that could not be made at all.

    `gold` and `prediction` are private data.
    """

    row: int
    """Row number as a person counts: the first is 1."""
    path: str
    """Where it stands, such as `lines.2.total`; empty for a record that failed as a whole."""
    field: str
    """The field that it counts for in `EvaluationReport.fields`, such as `lines.*.total`."""
    kind: Literal["wrong", "missed", "invented"] | FailureKind
    """What is the matter. A record that failed has one entry, with the kind of its failure."""
    gold: Any = Field(default=None, repr=False)
    """The JSON value that should be there, `None` where there is none."""
    prediction: Any = Field(default=None, repr=False)
    """The JSON value that was predicted, `None` where there is none."""
    normalized: bool = False
    """Whether the two are equal after normalisation."""


class Comparison(_Frozen):
    """Two evaluations of the same records side by side: the baseline first."""

    names: tuple[str, str]
    """What the two are called."""
    rows: int
    """Records compared."""
    metrics: dict[str, tuple[float, float]]
    """Scores over all fields, by name."""
    fields: dict[str, tuple[float | None, float | None]]
    """F1 of each field, by path."""
    invented: tuple[int, int]
    """Values predicted where the gold records have none."""

    def __rich__(self) -> Group:
        """Tables for a rich console."""
        metrics = comparison_table(((name, *pair) for name, pair in self.metrics.items()), self.names, "score")
        fields = comparison_table(((path, *pair) for path, pair in self.fields.items()), self.names, "F1 of field")
        line = f"{records(self.rows)}; invented values: {self.invented[0]} -> {self.invented[1]}"
        return Group(metrics, "", fields, "", line)

    def __str__(self) -> str:
        return plain(self.__rich__())


class EvaluationReport(_Frozen):
    """Scores of predictions against gold records.

    Counts values, not records: a value is a scalar of the record's canonical JSON, defaults included. `null`, a
    missing key, an empty list and an empty object are no values; an empty string is one. Every gold value of a record
    that failed counts as missed. No number here depends on the order of list items.
    """

    schema_name: str
    """Name of the schema."""
    schema_fingerprint: str
    """Fingerprint of the schema."""
    rows: int
    """Records evaluated."""
    valid: int
    """Records for which there is a prediction."""
    invalid: int
    """Records whose output a validator refused."""
    truncated: int
    """Records cut short by the budget of new tokens; those that were kept all the same are also in `valid`."""
    failed: int
    """Records that failed for another reason, such as a text that is too long."""
    field_f1: float
    """The headline: F1 over all values of all records (micro average), exact match."""
    field_f1_interval: tuple[float, float]
    """Bootstrap 95 % confidence interval of `field_f1` over records."""
    field_f1_normalized: float
    """The same as `field_f1` after normalisation."""
    precision: float
    """Share of all predicted values that is exactly right."""
    recall: float
    """Share of all gold values that was found exactly."""
    macro_f1: float
    """Mean of the fields' F1, each field with gold values counting the same."""
    exact_rate: float
    """Share of records in which every value is exactly right and nothing was invented."""
    exact_rate_interval: tuple[float, float]
    """Bootstrap 95 % confidence interval of `exact_rate`."""
    exact_rate_normalized: float
    """The same as `exact_rate` after normalisation."""
    valid_rate: float
    """Share of records for which there is a prediction."""
    support: int
    """Values in the gold records."""
    predicted: int
    """Values in the predictions."""
    wrong: int
    """Places where both sides have a value and the two differ."""
    missed: int
    """Gold values where the prediction has none."""
    invented: int
    """Predicted values where the gold record has none."""
    ungrounded: int | None
    """Predicted free-text values that stand nowhere in their text; `None` if no texts were given."""
    fields: dict[str, FieldScores]
    """Scores by path, in the order of the schema; `*` stands for list positions and map keys."""
    errors: tuple[Difference, ...] | None = Field(default=None, repr=False)
    """Every difference, if `keep_records` was asked for. Private data, never printed."""
    texts: tuple[str, ...] | None = Field(default=None, repr=False)
    """The source texts, if `keep_texts` was asked for. Private data, never printed."""

    def metrics(self) -> dict[str, float]:
        """The scores over all fields by name, for trackers and manifests. Numbers only, no private data."""
        return {name: float(getattr(self, name)) for name in METRICS}

    def compare(self, baseline: EvaluationReport, *, names: tuple[str, str] = ("baseline", "this")) -> Comparison:
        """Put a baseline beside this report, such as the untrained model beside the trained one.

        Args:
            baseline: Another evaluation of the same gold records.
            names: What the baseline and this report are called.

        Raises:
            DatasetError: The two did not score the same gold records.
        """
        self._check_same_gold(baseline)
        return Comparison(
            names=names,
            rows=self.rows,
            metrics={name: (getattr(baseline, name), getattr(self, name)) for name in METRICS},
            fields={
                path: (
                    before.f1 if (before := baseline.fields.get(path)) else None,
                    after.f1 if (after := self.fields.get(path)) else None,
                )
                for path in dict.fromkeys([*self.fields, *baseline.fields])
            },
            invented=(baseline.invented, self.invented),
        )

    def _check_same_gold(self, other: EvaluationReport) -> None:
        for what, mine, theirs in (
            ("schema", self.schema_fingerprint, other.schema_fingerprint),
            ("number of records", self.rows, other.rows),
            ("gold values per field", _supports(self), _supports(other)),
        ):
            if mine != theirs:
                raise DatasetError(f"expected two reports on the same records, found a different {what}").hint(
                    "Evaluate both models on the same examples."
                )

    def __rich__(self) -> Group:
        """Tables for a rich console: the summary, then one row a field. No values are shown."""
        low, high = self.field_f1_interval
        exact_low, exact_high = self.exact_rate_interval
        failures = f"{self.invalid} invalid, {self.truncated} truncated, {self.failed} failed"
        lines = [
            ("field F1", f"{number(self.field_f1)}  (95 % interval {number(low)} to {number(high)})"),
            ("  precision, recall", f"{number(self.precision)}, {number(self.recall)}"),
            ("  normalized", number(self.field_f1_normalized)),
            ("  mean over fields", number(self.macro_f1)),
            (
                "exact records",
                f"{number(self.exact_rate)}  (95 % interval {number(exact_low)} to {number(exact_high)})",
            ),
            ("  normalized", number(self.exact_rate_normalized)),
            ("valid records", f"{number(self.valid_rate)}  ({self.valid} of {self.rows}; {failures})"),
        ]
        title = Text(f"{self.schema_name}: {records(self.rows)}")  # not markup: "list[Order]"
        return Group(title, summary(lines), "", field_table(self.fields))

    def __str__(self) -> str:
        return plain(self.__rich__())


METRICS = (
    "field_f1",
    "field_f1_normalized",
    "precision",
    "recall",
    "macro_f1",
    "exact_rate",
    "exact_rate_normalized",
    "valid_rate",
)


def _supports(report: EvaluationReport) -> dict[str, int]:
    return {path: scores.support for path, scores in report.fields.items() if scores.support}
