"""Uses of a text's outcome: a prediction to score, a record to trust, held-out answers to keep.

Knows outcomes; knows no model and no files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from extractft.confidence.calibration import Answers
from extractft.confidence.token_confidence import Confidence
from extractft.data import Example, LoadedExamples
from extractft.errors import ExtractionError, OutputInvalidError, OutputTruncatedError
from extractft.evaluation import EvaluationReport, Failure, evaluate_records, score_records
from extractft.extractor.extraction import Extraction, Outcome
from extractft.processes import raised_by_signal
from extractft.schema import Schema

__all__ = ["BestOutcomes", "answers_of", "comparable", "predictions_of", "report_of"]

T = TypeVar("T")


class BestOutcomes(Generic[T]):
    """The held-out outcomes of the best scoring so far, so that calibrating on them costs no second generation.

    Args:
        schema: The schema of the records.
        examples: The held-out rows.
    """

    def __init__(self, schema: Schema[T], examples: Sequence[Example[T]]) -> None:
        self._schema = schema
        self._examples = examples
        self._score = -1.0
        self._outcomes: Sequence[Outcome[T]] = ()

    def scorer(self, run: Callable[[Sequence[Example[T]]], Sequence[Outcome[T]]]) -> Callable[[Any], dict[str, float]]:
        """Scorer for training: the model as it stands, by real generation with `run`."""
        gold = [example.output for example in self._examples]

        def score(_: Any) -> dict[str, float]:
            outcomes = comparable(self._schema, run(self._examples))
            predictions = predictions_of(outcomes)
            scores = score_records(self._schema, gold, predictions)
            self._keep(scores["field_f1"], outcomes)
            return scores

        return score

    def _keep(self, score: float, outcomes: Sequence[Outcome[T]]) -> None:
        """Of two scorings with the same score neither is known to be the one that training keeps."""
        if score >= self._score:
            self._outcomes = outcomes if score > self._score else ()
            self._score = score

    def outcomes_of(self, score: float | None) -> Sequence[Outcome[T]]:
        """The outcomes of the scoring with this score; empty if they are not known, as after a resumed run."""
        return self._outcomes if score == self._score else ()


def comparable(schema: Schema[T], outcomes: Iterable[Outcome[T]]) -> list[Outcome[T]]:
    """The outcomes, with an error in place of each record that cannot be held against another.

    A validator may make of a record what its schema cannot write; such a row is wrong, and no other suffers for it.
    """
    return [_comparable(schema, outcome) for outcome in outcomes]


def _comparable(schema: Schema[T], outcome: Outcome[T]) -> Outcome[T]:
    if isinstance(outcome, ExtractionError):
        return outcome
    try:
        schema.full_value(outcome.output)
        schema.canonical_value(outcome.output)
    except Exception as error:  # validators and serialisers of the user's may have made anything of it
        if raised_by_signal(error):
            raise
        return OutputInvalidError(
            f"The record cannot be written back to compare it ({type(error).__name__}).",
            text=outcome.text,
            raw_output=outcome.raw_output,
        ).hint("Let the schema's validators return what its fields may hold.")
    return outcome


def predictions_of(outcomes: Iterable[Outcome[T]]) -> list[T | Failure]:
    """Predictions to score: for each text the record, or the reason that there is none."""
    return [outcome.output if isinstance(outcome, Extraction) else _failure(outcome) for outcome in outcomes]


def report_of(
    schema: Schema[T],
    loaded: LoadedExamples[T],
    outcomes: Sequence[Outcome[T]],
    *,
    keep_records: bool,
    keep_texts: bool,
) -> EvaluationReport:
    """The outcomes of examples, scored field by field; records are named by their row numbers."""
    predictions: list[T | Failure] = predictions_of(outcomes)
    return evaluate_records(
        schema,
        [example.output for example in loaded.examples],
        predictions,
        texts=[example.text for example in loaded.examples],
        closed_early=[i for i, o in enumerate(outcomes) if isinstance(o, Extraction) and o.truncated],
        keep_records=keep_records,
        keep_texts=keep_texts,
        numbers=loaded.numbers,
    )


def _failure(error: ExtractionError) -> Failure:
    if isinstance(error, OutputTruncatedError):
        return Failure.TRUNCATED
    return Failure.INVALID if isinstance(error, OutputInvalidError) else Failure.ERROR


def answers_of(
    schema: Schema[T],
    examples: Sequence[Example[T]],
    outcomes: Sequence[Outcome[T]],
    confidence: Callable[[Extraction[T]], Confidence],
) -> Answers:
    """Every record that there is with its confidence, held against what it should have been."""
    pairs = zip(examples, outcomes, strict=True)
    found = [(e.output, o.output, confidence(o)) for e, o in pairs if isinstance(o, Extraction)]
    return Answers.of(schema, found)
