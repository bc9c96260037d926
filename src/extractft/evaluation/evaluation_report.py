"""The report of an evaluation: the numbers, ready to be printed, stored and compared. Knows no schema and no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from extractft.errors import DatasetError
from extractft.evaluation.calibration_report import CalibrationReport
from extractft.evaluation.console_tables import (
    comparison_table,
    confusion_table,
    field_table,
    interval,
    number,
    plain,
    records,
    summary,
)
from extractft.evaluation.frozen_model import FrozenModel
from extractft.evaluation.html.page import render_page
from extractft.evaluation.learning_curve import LearningPoint
from extractft.evaluation.results import METRICS, Results

__all__ = ["Comparison", "EvaluationReport"]


class Comparison(FrozenModel):
    """Two evaluations of the same records side by side: the baseline first."""

    names: tuple[str, str]
    """The names of the two."""
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

    def __repr__(self) -> str:
        pairs = {name: self.metrics[name] for name in ("field_f1", "exact_rate") if name in self.metrics}
        scores = ", ".join(f"{name} {number(before)} -> {number(after)}" for name, (before, after) in pairs.items())
        return f"Comparison({self.names[0]} -> {self.names[1]}, {records(self.rows)}: {scores})"

    def __str__(self) -> str:
        return plain(self.__rich__())


class EvaluationReport(Results):
    """Scores of predictions against gold records.

    Counts values, not records: a value is a scalar of the record's canonical JSON, defaults included. `null`, a
    missing key, an empty list and an empty object are no values; an empty string is one. Every gold value of a record
    that failed counts as missed. No number here depends on the order of list items.

    Example:
        ```python
        report = extractor.evaluate("held-out.jsonl")
        worst = min(report.fields, key=lambda path: report.fields[path].f1)
        ```
    """

    def metrics(self) -> dict[str, float]:
        """The scores over all fields by name, for trackers and manifests. Numbers only, no private data."""
        return {name: float(getattr(self, name)) for name in METRICS}

    def compare(self, baseline: EvaluationReport, *, names: tuple[str, str] = ("baseline", "this")) -> Comparison:
        """Put a baseline beside this report, such as the untrained model beside the trained one.

        Args:
            baseline: Another evaluation of the same gold records.
            names: The names of the baseline and of this report.

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

    def with_calibration(self, calibration: Mapping[str, CalibrationReport]) -> EvaluationReport:
        """This report with what was measured of confidences: of `values`, of `records`, or of both."""
        return type(self).model_validate({**dict(self), "calibration": dict(calibration)})

    def save_html(
        self,
        path: str | Path,
        *,
        baseline: EvaluationReport | None = None,
        learning_curve: Sequence[LearningPoint] | None = None,
        max_records: int = 1000,
    ) -> None:
        """Write the report as one page that needs no network and runs in any browser.

        The same report gives the same bytes. If it was made with `keep_records=True` and `keep_texts=True`, the page
        lists the wrong records, and is private data.

        Args:
            path: The file to write.
            baseline: Another evaluation of the same gold records to show beside this one, such as the untrained
                model's.
            learning_curve: Scores after training on more and more rows.
            max_records: Wrong records that are listed at most.

        Raises:
            DatasetError: The baseline did not score the same gold records.
        """
        if baseline is not None:
            self._check_same_gold(baseline)
        page = render_page(self, baseline=baseline, learning_curve=learning_curve or (), max_records=max_records)
        Path(path).expanduser().write_text(page, encoding="utf-8", newline="\n")

    def _check_same_gold(self, other: Results) -> None:
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
        """Tables for a rich console: the summary, then one row a field, then the choices that are confused.

        No values are shown but these choices, which are words of the schema.
        """
        failures = f"{self.invalid} invalid, {self.truncated} truncated{_kept(self)}, {self.failed} failed"
        lines = [
            ("field F1", f"{number(self.field_f1)}  ({interval(self.field_f1_interval, self.rows)})"),
            ("  precision, recall", f"{number(self.precision)}, {number(self.recall)}"),
            ("  normalized", number(self.field_f1_normalized)),
            ("  mean over fields", number(self.macro_f1)),
            ("exact records", f"{number(self.exact_rate)}  ({interval(self.exact_rate_interval, self.rows)})"),
            ("  normalized", number(self.exact_rate_normalized)),
            ("valid records", f"{number(self.valid_rate)}  ({self.valid} of {self.rows}; {failures})"),
        ]
        for what, measured in (self.calibration or {}).items():
            error = f"{number(measured.ece)}  ({interval(measured.ece_interval, measured.groups)})"
            lines += [
                (f"confidence of {what}", f"calibration error {error}"),
                ("  accuracy", f"{number(measured.accuracy)}; {number(measured.accuracy_at(0.9))} of the surest 90 %"),
            ]
        title = Text(f"{self.schema_name}: {records(self.rows)}")  # not markup: "list[Order]"
        shown: list[RenderableType] = [title, summary(lines), "", field_table(self.fields)]
        confused = confusion_table(self.confusions)
        if confused is not None:
            shown += ["", confused]
        return Group(*shown)

    def __repr__(self) -> str:
        scores = ", ".join(f"{name}={number(getattr(self, name))}" for name in ("field_f1", "exact_rate", "valid_rate"))
        return f"EvaluationReport({self.schema_name}, {records(self.rows)}, {scores})"

    def __str__(self) -> str:
        return plain(self.__rich__())


def _kept(report: Results) -> str:
    """The number of truncated records that were kept all the same."""
    kept = report.valid + report.invalid + report.truncated + report.failed - report.rows
    return f" ({kept} kept)" if kept > 0 else ""


def _supports(report: Results) -> dict[str, int]:
    return {path: scores.support for path, scores in report.fields.items() if scores.support}
