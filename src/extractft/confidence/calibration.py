"""Confidences held against records that the model was not trained on. Knows outcomes and gold records; no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from pydantic import ValidationError

import extractft.evaluation
from extractft.confidence.token_confidence import Confidence
from extractft.errors import ArtifactError, DatasetError
from extractft.evaluation import CalibrationReport, Calibrator, judge_record
from extractft.schema import Schema

__all__ = ["Answers", "Calibration"]

T = TypeVar("T")


@dataclass(slots=True)
class Answers:
    """Confidences and whether they were deserved: of the values that are there, and of whole records.

    Attributes:
        values: Confidence of each value, whether it is right, and the number of its record.
        records: Confidence of each record, and whether it is right.
    """

    values: list[tuple[float, bool, int]]
    records: list[tuple[float, bool]]

    @classmethod
    def of(cls, schema: Schema[T], judged: Sequence[tuple[T, T, Confidence]]) -> Self:
        """Judge predictions.

        Args:
            schema: The schema of the records.
            judged: Gold record, prediction and its confidence, one each.
        """
        answers = cls([], [])
        for number, (gold, prediction, confidence) in enumerate(judged):
            right, exact = judge_record(schema, gold, prediction)
            answers.values += [(confidence.fields[p], ok, number) for p, ok in right.items() if p in confidence.fields]
            answers.records.append((confidence.record, exact))
        return answers

    def cross_fitted(self) -> Self:
        """The same answers with calibrated confidences, each by curves that were fitted on other records.

        Raises:
            DatasetError: There are values of less than two records.
        """
        if len({number for _, _, number in self.values}) < 2:
            raise DatasetError("expected records with values from at least two examples, found fewer").hint(
                "Confidence is calibrated on right and wrong answers; give more examples."
            )
        cross_fitted = extractft.evaluation.cross_fitted  # loads scikit-learn
        confidences, right, groups = zip(*self.values, strict=True)
        records, exact = zip(*self.records, strict=True)
        values = zip(cross_fitted(confidences, right, groups), right, groups, strict=True)
        return type(self)(list(values), list(zip(cross_fitted(records, exact), exact, strict=True)))

    def report(self) -> dict[str, CalibrationReport]:
        """Calibration reports of values, records and absent fields, for those that there are."""
        found = {}
        measure_calibration = extractft.evaluation.measure_calibration  # loads scikit-learn
        if self.values:
            confidences, right, groups = zip(*self.values, strict=True)
            found["values"] = measure_calibration(confidences, right, groups=groups)
        if self.records:
            found["records"] = measure_calibration(*zip(*self.records, strict=True))
        return found


@dataclass(frozen=True, slots=True)
class Calibration:
    """The curves from the model's own confidences to believable ones.

    Attributes:
        values: For values, lists and absent fields.
        records: For whole records.
    """

    values: Calibrator
    records: Calibrator

    @classmethod
    def fit(cls, answers: Answers) -> Self | None:
        """Fit both curves; `None` if there are no values or no records to fit them on."""
        if not answers.values or not answers.records:
            return None
        fit_calibrator = extractft.evaluation.fit_calibrator  # loads scikit-learn
        confidences, right, groups = zip(*answers.values, strict=True)
        records, exact = zip(*answers.records, strict=True)
        return cls(fit_calibrator(confidences, right, groups=groups), fit_calibrator(records, exact))

    def apply(self, raw: Confidence) -> Confidence:
        """The believable form of the model's own confidence."""
        return raw.mapped(self.values.apply, self.records.apply)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for the manifest."""
        return {"values": self.values.model_dump(mode="json"), "records": self.records.model_dump(mode="json")}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            ArtifactError: It is something else.
        """
        try:
            return cls(Calibrator.model_validate(data["values"]), Calibrator.model_validate(data["records"]))
        except (ValidationError, LookupError, TypeError) as error:
            raise ArtifactError("Expected the calibration as it was saved, found it damaged.") from error
