"""Decode the same texts on both sides and hold each pair of outcomes together.

Knows outcomes, tokens and confidences; knows no models and no files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from extractft.completion import Completion, TokenStep
from extractft.data import Example, LoadedExamples, load_numbered_examples
from extractft.errors import ConfigError, PromptError, ServerError
from extractft.evaluation import evaluate_records
from extractft.extractor import Extraction, Extractor
from extractft.extractor.extraction import Outcome
from extractft.extractor.outcomes import answers_of, comparable, report_of
from extractft.extractor.pipeline import Pipeline
from extractft.schema import Schema
from extractft.text import normalize_text
from extractft.verification.candidates import under_schema_of
from extractft.verification.verification_report import (
    DEFAULT_MIN_EQUAL,
    RecordDifference,
    SideScores,
    VerificationReport,
)

__all__ = ["ReferenceRecords", "verify"]

T = TypeVar("T")
TWO_SIDED_95 = 2 * 1.959964
"""Width of a 95 % interval in standard errors."""


def verify(
    reference: Extractor[T],
    candidate: Extractor[T],
    rows: Any,
    *,
    name: str = "candidate",
    quantized: bool = False,
    min_equal: float | None = None,
    columns: Mapping[str, str] | None = None,
    keep_records: bool = False,
) -> VerificationReport:
    """Decode held-out examples on both sides and compare records, tokens, log-probabilities, confidences and scores.

    Args:
        reference: The extractor.
        candidate: What should give the same; see `load_candidate` and `with_engine`.
        rows: Examples, as `Extractor.fit` takes them.
        name: The candidate's name in the report.
        quantized: Whether its weights have less than 16 bits: then its score has to lie within one standard error.
        min_equal: Least share of equal records; if `None`, 0.99, and none for quantised candidates.
        columns: Column mapping, ours to theirs.
        keep_records: Keep what both sides wrote where it differs. Private data.

    Raises:
        DatasetError: Rows are bad; all of them are in `.issues`.
        ConfigError: `min_equal` is no share.
        ArtifactMismatchError: The candidate's schema is another.
    """
    least = _checked_share(min_equal, quantized=quantized)
    known = ReferenceRecords(reference, rows, columns=columns)
    return known.compare(candidate, name=name, quantized=quantized, min_equal=least, keep_records=keep_records)


class ReferenceRecords(Generic[T]):
    """An extractor's records of held-out examples, decoded once to compare several candidates with.

    Args:
        reference: The extractor.
        rows: Examples, as `Extractor.fit` takes them.
        columns: Column mapping, ours to theirs.

    Raises:
        DatasetError: Rows are bad; all of them are in `.issues`.
    """

    def __init__(self, reference: Extractor[T], rows: Any, *, columns: Mapping[str, str] | None = None) -> None:
        self._reference = reference
        self._loaded = load_numbered_examples(rows, reference.schema, columns=columns)
        self._side = _Side.decoded(reference, self._loaded)

    def compare(
        self,
        candidate: Extractor[T],
        *,
        name: str = "candidate",
        quantized: bool = False,
        min_equal: float | None = None,
        keep_records: bool = False,
    ) -> VerificationReport:
        """Decode the same texts with a candidate; see `verify` for the arguments.

        Raises:
            ConfigError: `min_equal` is no share.
            ArtifactMismatchError: The candidate's schema is another.
        """
        least = _checked_share(min_equal, quantized=quantized)
        candidate = under_schema_of(self._reference, candidate)
        mine, theirs = self._side, _Side.decoded(candidate, self._loaded)
        pairs = [_Pair(*pair) for pair in zip(mine.outcomes, theirs.outcomes, strict=True)]
        equal = [pair.equal(self._reference.schema) for pair in pairs]
        prompts = _same_prompts(self._reference._pipeline, candidate._pipeline, self._loaded.examples)
        return VerificationReport(
            name=name,
            rows=len(pairs),
            prompts_equal=prompts,
            records_equal=sum(equal),
            fields=_differing_fields(self._reference.schema, pairs),
            quantized=quantized,
            min_equal=least,
            differences=_differences(self._loaded, pairs, equal) if keep_records else None,
            **_token_numbers(pairs),
            **_side_numbers(mine, theirs),
        )


def _checked_share(min_equal: float | None, *, quantized: bool) -> float | None:
    if min_equal is None:
        return None if quantized else DEFAULT_MIN_EQUAL
    if isinstance(min_equal, bool) or not isinstance(min_equal, int | float) or not 0 <= min_equal <= 1:
        raise ConfigError(f"Expected min_equal between 0 and 1, found {min_equal!r}.").hint(
            "Give a share of equal records, such as 0.99; 1.0 asks for all of them."
        )
    return min_equal


def _token_numbers(pairs: Sequence[_Pair[Any]]) -> dict[str, Any]:
    """Numbers of the report about tokens and who wrote any."""
    margins = [margin for pair in pairs if (margin := pair.margin()) is not None]
    return {
        "tokens_equal": sum(pair.same_tokens() for pair in pairs),
        "records_compared": sum(pair.first is not None and pair.second is not None for pair in pairs),
        "only_reference": sum(pair.first is not None and pair.second is None for pair in pairs),
        "only_candidate": sum(pair.first is None and pair.second is not None for pair in pairs),
        "widest_gap": max((gap for pair in pairs for gap in pair.gaps()), default=None),
        "widest_margin": max(margins, default=None),
    }


def _side_numbers(mine: _Side[Any], theirs: _Side[Any]) -> dict[str, Any]:
    """Numbers of the report about each side, and about the confidences of records that both gave."""
    both = zip(mine.confidences, theirs.confidences, strict=True)
    gaps = [abs(first - second) for first, second in both if first is not None and second is not None]
    return {
        "reference": mine.scores,
        "candidate": theirs.scores,
        "confidence_gap": sum(gaps) / len(gaps) if gaps else None,
        "widest_confidence_gap": max(gaps, default=None),
    }


@dataclass(frozen=True, slots=True)
class _Side(Generic[T]):
    """One side's outcomes of the texts.

    Attributes:
        outcomes: Of each text, in order.
        confidences: Of each record; `None` where there is none.
        scores: Against the gold records.
    """

    outcomes: list[Outcome[T]]
    confidences: list[float | None]
    scores: SideScores

    @classmethod
    def decoded(cls, extractor: Extractor[T], loaded: LoadedExamples[T]) -> _Side[T]:
        examples: Sequence[Example[T]] = loaded.examples
        schema, explainer = extractor.schema, extractor._explainer
        outcomes = comparable(schema, extractor._pipeline.run(example.text for example in examples))
        report = report_of(schema, loaded, outcomes, keep_records=False, keep_texts=False)
        ece: dict[str, float] = {}
        confidences: list[float | None] = [None for _ in outcomes]
        if explainer.has_logprobs:
            answers = answers_of(schema, examples, outcomes, explainer.confidence)
            ece = {what: measured.ece for what, measured in answers.report().items()}
            confidences = [explainer.confidence(o).record if isinstance(o, Extraction) else None for o in outcomes]
        low, high = report.field_f1_interval
        scores = SideScores(
            field_f1=report.field_f1,
            field_f1_error=(high - low) / TWO_SIDED_95,
            exact_rate=report.exact_rate,
            valid_rate=report.valid_rate,
            ece_values=ece.get("values"),
            ece_records=ece.get("records"),
        )
        return cls(outcomes, confidences, scores)


class _Pair(Generic[T]):
    """The two outcomes of one text.

    Attributes:
        first: The reference's record, `None` if it gave none.
        second: The candidate's.
    """

    def __init__(self, first: Outcome[T], second: Outcome[T]) -> None:
        self._failures = (type(first), type(second))
        self.first = first if isinstance(first, Extraction) else None
        self.second = second if isinstance(second, Extraction) else None

    def equal(self, schema: Schema[T]) -> bool:
        """True for the same record, or the same failure of the model: a server that is gone says nothing of it."""
        if self.first is None or self.second is None:
            return self._failures[0] is self._failures[1] and not issubclass(self._failures[0], ServerError)
        return bool(schema.full_value(self.first.output) == schema.full_value(self.second.output))

    def same_tokens(self) -> bool:
        """True if both wrote the same tokens, or nothing."""
        mine, theirs = ([c.token_ids for c in _completions(side)] for side in (self.first, self.second))
        return mine == theirs

    def gaps(self) -> Iterator[float]:
        """Distances of the log-probabilities of tokens that both wrote behind the same tokens."""
        for mine, theirs in self._steps():
            if mine.token_id == theirs.token_id:
                yield abs(mine.constrained_logprob - theirs.constrained_logprob)

    def margin(self) -> float | None:
        """Distance: how much likelier the reference held its own token where the other side first wrote another one."""
        for mine, theirs in self._steps():
            if mine.token_id != theirs.token_id:
                known = dict(mine.alternatives).get(theirs.token_id)
                return None if known is None else mine.constrained_logprob - known
        return None

    def _steps(self) -> Iterator[tuple[TokenStep, TokenStep]]:
        """Steps of both sides, up to the first that differs."""
        for mine, theirs in zip(_completions(self.first), _completions(self.second), strict=False):
            for pair in zip(mine.steps, theirs.steps, strict=False):
                yield pair
                if pair[0].token_id != pair[1].token_id:
                    return


def _completions(extraction: Extraction[Any] | None) -> list[Completion]:
    """The engine's completions for a record: one completion, or one for each piece of a long text."""
    if extraction is None:
        return []
    return [window.extraction.completion for window in extraction.windows] or [extraction.completion]


def _same_prompts(mine: Pipeline[Any], theirs: Pipeline[Any], examples: Sequence[Example[Any]]) -> int:
    """Number of texts for which both sides make the same prompt ids."""
    texts = [normalize_text(example.text).text for example in examples]
    return sum(_prompt_ids(mine, text) == _prompt_ids(theirs, text) for text in texts)


def _prompt_ids(pipeline: Pipeline[Any], text: str) -> list[int] | None:
    try:
        return pipeline.chat.prompt_ids(text)
    except PromptError:
        return None


def _differing_fields(schema: Schema[T], pairs: Sequence[_Pair[T]]) -> dict[str, int]:
    """Values that differ by field, the reference's records taken for right."""
    both = [(pair.first.output, pair.second.output) for pair in pairs if pair.first and pair.second]
    if not both:
        return {}
    report = evaluate_records(schema, [a for a, _ in both], [b for _, b in both], resamples=1)
    counts = Counter({path: found.wrong + found.missed + found.invented for path, found in report.fields.items()})
    return {path: count for path, count in counts.items() if count}


def _differences(
    loaded: LoadedExamples[Any], pairs: Sequence[_Pair[Any]], equal: Sequence[bool]
) -> tuple[RecordDifference, ...]:
    return tuple(
        RecordDifference(
            row=number,
            reference=None if pair.first is None else pair.first.raw_output,
            candidate=None if pair.second is None else pair.second.raw_output,
        )
        for number, pair, same in zip(loaded.numbers, pairs, equal, strict=True)
        if not same
    )
