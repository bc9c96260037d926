"""The numbers of an evaluation, as they are stored. Knows how to hold them; neither computes nor shows any."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

from pydantic import Field

from extractft.evaluation.calibration_report import CalibrationReport
from extractft.evaluation.frozen_model import FrozenModel
from extractft.evaluation.metrics import Confusions, FieldScores

__all__ = ["METRICS", "Difference", "Failure", "FailureKind", "Results"]

FailureKind = Literal["invalid", "truncated", "error"]

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


class Failure(Enum):
    """The reason why there is no prediction for a record."""

    INVALID = "invalid"
    """A validator of the schema refused the output."""
    TRUNCATED = "truncated"
    """The budget of new tokens was spent before the record was complete."""
    ERROR = "error"
    """Anything else, such as a text that is too long."""


class Difference(FrozenModel):
    """One value in which a prediction differs from its gold record, or one record that could not be made at all.

    `gold` and `prediction` are private data.
    """

    row: int
    """Row number in the user's file, if it is known; else as a person counts: the first is 1."""
    path: str
    """Its path, such as `lines.2.total`; empty for a record that failed as a whole."""
    field: str
    """The field that it counts for in `EvaluationReport.fields`, such as `lines.*.total`."""
    kind: Literal["wrong", "missed", "invented"] | FailureKind
    """The kind of error. A record that failed has one entry, with the kind of its failure."""
    gold: Any = Field(default=None, repr=False)
    """The JSON value that should be there, `None` where there is none."""
    prediction: Any = Field(default=None, repr=False)
    """The JSON value that was predicted, `None` where there is none."""
    normalized: bool = False
    """True if the two are equal after normalisation."""
    choice: bool = False
    """True if it is a choice: of a `Literal` or an `Enum`, or a truth value. Then it need not stand in the text."""
    gold_span: tuple[int, int] | None = None
    """The span of the gold value in the text (characters, end exclusive), if it was found there."""
    span: tuple[int, int] | None = None
    """The span of the predicted value in the text, if it was found there."""
    ungrounded: bool = False
    """True if the predicted value is free text that stands nowhere in the text."""


class Results(FrozenModel):
    """The numbers that an `EvaluationReport` holds."""

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
    """Wilson 95 % confidence interval of `exact_rate`."""
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
    """Predicted free-text values that stand nowhere in their text; `None` if no texts were given.

    It is what the check of examples counts, and what has no place of more than similar text among the spans."""
    fields: dict[str, FieldScores]
    """Scores by path, in the order of the schema; `*` stands for list positions and map keys."""
    confusions: dict[str, Confusions] = Field(default_factory=dict)
    """Confusion tables by path, of the fields that hold choices: `Literal`, `Enum`, truth values."""
    calibration: dict[str, CalibrationReport] | None = None
    """Calibration of the confidences of `values` and of `records`, if it was measured."""
    errors: tuple[Difference, ...] | None = Field(default=None, repr=False)
    """Every difference, if `keep_records` was asked for. Private data, never printed."""
    texts: tuple[str, ...] | None = Field(default=None, repr=False)
    """The source texts, if `keep_texts` was asked for. Private data, never printed."""
    numbers: tuple[int, ...] | None = None
    """The row number of each record in the user's file, if records or texts are kept and it is not 1, 2, 3..."""
