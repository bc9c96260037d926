"""Explanation of a record: places of its values in the text, and confidence. Apart from extraction, and after it.

Knows records, their completions and a calibration; knows no engine and no prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from extractft.confidence.calibration import Calibration
from extractft.confidence.forced_values import forced_values
from extractft.confidence.token_confidence import Confidence, raw_confidence
from extractft.errors import ConfigError, EngineError, ExtractionError, LowConfidenceError
from extractft.extractor.extraction import Extraction, Outcome
from extractft.extractor.long_texts import combine_spans, merge_confidence
from extractft.grounding import Span, ground
from extractft.processes import raised_by_signal
from extractft.schema import Schema

__all__ = ["EXPLANATIONS", "Explainer", "require_explanations"]

T = TypeVar("T")
EXPLANATIONS = ("confidence", "spans")
"""Parts of an `Extraction` that explain its record."""


def require_explanations(parts: Collection[str]) -> None:
    """Refuse parts that no record is explained by.

    Raises:
        ConfigError: One is unknown.
    """
    if unknown := sorted(set(parts) - set(EXPLANATIONS)):
        raise ConfigError(f"expected parts to explain out of {', '.join(EXPLANATIONS)}, found {unknown[0]!r}")


@dataclass(frozen=True, slots=True)
class Explainer(Generic[T]):
    """Explains the records of one extractor. Immutable: a stream that has one goes on with it to its end.

    Attributes:
        schema: The schema of the records.
        spelling: The bytes that a token spells.
        calibration: Makes confidences believable, if there is one.
        has_logprobs: False if the engine gives no log-probabilities, so that there is no confidence.
    """

    schema: Schema[T]
    spelling: Callable[[int], bytes]
    calibration: Calibration | None = None
    has_logprobs: bool = True

    def calibrated(self, calibration: Calibration | None) -> Explainer[T]:
        """The same with another calibration."""
        return replace(self, calibration=calibration)

    def explained(self, outcome: Outcome[T], parts: Collection[str] = EXPLANATIONS) -> Outcome[T]:
        """The same with its places in the text and its confidence, if it is a record.

        They explain a record and are no part of it: where one cannot be computed, it is left out, and the record says
        so. A validator of the user's may make anything of a record, such as what cannot be written back.
        """
        return outcome if isinstance(outcome, ExtractionError) else self.explanation(outcome, parts)

    def explanation(self, extraction: Extraction[T], parts: Collection[str] = EXPLANATIONS) -> Extraction[T]:
        """`explained` for a record."""
        problems = []
        for name, explain in zip(EXPLANATIONS, (self.confidence, self._spans), strict=True):
            if name not in parts:
                continue
            try:
                extraction = replace(extraction, **{name: explain(extraction)})  # type: ignore[arg-type]
            except Exception as error:
                if raised_by_signal(error):
                    raise
                problems.append(f"{name} ({type(error).__name__})")
        if extraction.confidence is not None and "confidence" in parts and not extraction.windows:
            extraction = replace(extraction, forced=forced_values(self.schema, extraction.completion, self.spelling))
        if not problems:
            return extraction
        return replace(extraction, explanation_error=f"could not be computed: {', '.join(problems)}")

    def confidence(self, extraction: Extraction[T]) -> Confidence:
        """Confidence in a record: calibrated, if there is a calibration; 0 for a record that was cut short.

        Raises:
            EngineError: The engine gives no log-probabilities.
        """
        raw = self.raw_confidence(extraction)
        return raw if self.calibration is None else self.calibration.apply(raw)

    def raw_confidence(self, extraction: Extraction[T]) -> Confidence:
        """The model's own confidence.

        Raises:
            EngineError: The engine gives no log-probabilities.
        """
        self.require_logprobs()
        if extraction.windows:
            pieces = [self.raw_confidence(window.extraction) for window in extraction.windows]
            return merge_confidence(extraction.windows, pieces)
        raw = raw_confidence(self.schema, extraction.completion, self.spelling)
        return replace(raw, record=0.0) if extraction.truncated else raw

    def require_logprobs(self) -> None:
        """Refuse an engine that cannot say how sure the model was.

        Raises:
            EngineError: It gives no log-probabilities.
        """
        if not self.has_logprobs:
            raise EngineError("Expected an engine that gives log-probabilities, found one that gives none.").hint(
                "Confidences are made of them; see extractor.engine.capabilities for what this engine can."
            )

    def route_low_confidence(self, outcome: Outcome[T], least: float) -> Outcome[T]:
        """The outcome, or an error in place of a record whose confidence is below `least`."""
        if isinstance(outcome, ExtractionError):
            return outcome
        found = self._record_confidence(outcome)
        if found is not None and found >= least:
            return outcome
        return LowConfidenceError(
            f"Expected a confidence of at least {least}, found {'none' if found is None else f'{found:.3f}'}.",
            text=outcome.text,
            raw_output=outcome.raw_output,
            extraction=self.explained(outcome),
        )

    def _record_confidence(self, extraction: Extraction[T]) -> float | None:
        try:
            return self.confidence(extraction).record
        except Exception as error:
            if raised_by_signal(error):
                raise
            return None

    def _spans(self, extraction: Extraction[T]) -> dict[str, tuple[Span, ...]]:
        if extraction.windows:
            return combine_spans(self.schema, extraction)
        return ground(self.schema, self.schema.canonical_value(extraction.output), extraction.text)
