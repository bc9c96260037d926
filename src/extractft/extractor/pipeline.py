"""From texts to records: asks the engine for each text, and reads what comes back.

Knows prompts, grammars and budgets by their interfaces; knows no model, no training and no files.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from extractft.completion import Completion, Engine, GenerationRequest
from extractft.confidence.calibration import Calibration
from extractft.confidence.token_confidence import Confidence, raw_confidence
from extractft.config import GenerationConfig
from extractft.constraints import GrammarCompiler, RecordSize
from extractft.data import Example
from extractft.data.field_paths import field_path
from extractft.errors import (
    ExtractionError,
    GrammarError,
    InputTooLongError,
    OutputInvalidError,
    OutputTruncatedError,
    PromptError,
)
from extractft.extractor.extraction import Extraction, Outcome
from extractft.extractor.long_texts import TextJob, combine_spans, longest_window, merge_confidence, merge_windows
from extractft.extractor.text_source import TextSource, require_batch_size, require_text, require_texts
from extractft.grounding import Span, Window, ground, split_text
from extractft.inference import TransformersEngine
from extractft.processes import BoundToProcess, raised_by_signal
from extractft.prompt import ChatRenderer
from extractft.schema import Schema
from extractft.text import is_blank, normalize_text

__all__ = ["EXPLANATIONS", "Pipeline"]

T = TypeVar("T")
EXPLANATIONS = ("confidence", "spans")
"""Parts of an `Extraction` that explain its record."""
MIN_ROOM = 64
"""New tokens that must fit into the window behind the prompt, or the text is too long."""
MIN_STRING = 64
"""Characters that a free string may have at least, however short the text: not every value is copied."""
HEAD, HOPELESS = 16, 2
"""A text of more characters for each token that fits is measured by so many of them first: if these alone take twice
what fits, the rest is not even read."""
CHARACTERS_PER_TOKEN = 6
"""More than any tokenizer averages; turns a budget into a cap on strings that does not bind before the budget."""


class Pipeline(BoundToProcess, Generic[T]):
    """Runs texts through an engine.

    Args:
        schema: The schema of the records.
        chat: Renders prompts and answers.
        engine: Makes completions.
        grammar: Compiles the schema for the engine's vocabulary.
        generation: Decoding settings.
        max_window: Longest prompt and answer together, in tokens.

    Attributes:
        calibration: Makes confidences believable, if there is one.
    """

    def __init__(
        self,
        schema: Schema[T],
        chat: ChatRenderer,
        engine: Engine,
        grammar: GrammarCompiler,
        generation: GenerationConfig,
        max_window: int,
    ) -> None:
        self.schema = schema
        self.chat = chat
        self.engine = engine
        self.grammar = grammar
        self.generation = generation
        self.max_window = max_window
        self.calibration: Calibration | None = None
        self._size = RecordSize.of(schema, lambda piece: len(chat.text_ids(piece)))

    def outcomes(self, texts: Iterable[str], batch_size: int | None) -> Iterator[Outcome[T]]:
        """`run` for what a caller hands over.

        Raises:
            TypeError: `texts` is one text, a table, a mapping, a set, a file or no iterable.
            ConfigError: `batch_size` is less than 1.
        """
        require_batch_size(batch_size)
        return self.run(require_texts(texts), batch_size=batch_size)

    def run_in_training(self, examples: Sequence[Example[T]]) -> list[Outcome[T]]:
        """The outcomes of examples, after which the engine leaves the memory to the training that goes on."""
        outcomes = list(self.run(example.text for example in examples))
        if isinstance(self.engine, TransformersEngine):
            self.engine.reset()
        return outcomes

    def run(self, texts: Iterable[str], *, batch_size: int | None = None) -> Iterator[Outcome[T]]:
        """Outcomes in order; texts that cannot even be asked wait in line between those that can.

        If reading `texts` fails, the texts read so far are dealt with first.
        """
        source = TextSource(texts, stop_after=batch_size or self.generation.batch_size)
        while not source.exhausted:
            line: deque[TextJob[T] | ExtractionError] = deque()
            requests = self._requests(source, line)
            for completion in self.engine.generate(requests, batch_size=batch_size):
                while isinstance(head := line[0], ExtractionError):
                    yield head
                    line.popleft()
                head.outcomes.append(self.outcome(head.next_piece, completion))
                if head.complete:
                    line.popleft()
                    yield merge_windows(self.schema, head)
            yield from (error for error in line if isinstance(error, ExtractionError))
        if source.failure is not None:
            raise source.failure

    def run_one(self, text: str) -> Extraction[T]:
        """The record of one text.

        Raises:
            ExtractionError: There is none.
        """
        outcome = next(self.run([text]))
        if isinstance(outcome, ExtractionError):
            raise outcome
        return outcome

    def _requests(self, source: TextSource, line: deque[TextJob[T] | ExtractionError]) -> Iterator[GenerationRequest]:
        """Requests for the texts that can be asked; ends early if too many in a row cannot, so that those get out."""
        failures = 0
        for text in source:
            try:
                asked: TextJob[T] = TextJob(text, self.windows(require_text(text)))
                requests = [self.request(asked.piece(window)) for window in asked.windows]
            except ExtractionError as error:
                if isinstance(text, str):
                    error.text = text  # of all of it, where a piece was the trouble
                # Handed over as a value: with its traceback it would keep this frame, and all that is on its way.
                line.append(error.with_traceback(None))
                failures += 1
                if failures == source.stop_after:
                    return
            else:
                line.append(asked)
                failures = 0
                yield from requests

    def windows(self, text: str) -> list[Window]:
        """The pieces that a text is read in: one, unless it is long and may be split.

        Raises:
            InputTooLongError: The text is long and may not be split, or one character is too much.
        """
        most, whole = self.generation.max_text_tokens, [Window(0, len(text))]
        if not (most or self.generation.split_long_texts):
            return whole
        try:
            limit = self.text_limit()
            if not self.generation.split_long_texts:
                self._refuse_hopeless(text, limit, f"Expected at most max_text_tokens={most}")
            tokens = self.text_tokens(text)
        except PromptError:
            return whole  # the request for it says what is wrong
        if tokens <= limit:
            return whole
        if not self.generation.split_long_texts:
            raise _too_long(f"Expected at most max_text_tokens={most}, found {tokens}.", text)
        overlap = min(self.generation.overlap_tokens, limit // 2)
        windows = split_text(text, size=self.text_tokens, limit=limit, overlap=overlap)
        return [window for window in windows if not is_blank(text[window.start : window.end])]

    def _refuse_hopeless(self, text: str, limit: int, expected: str) -> None:
        """Refuse a text of which the beginning alone is far too long, before all of it is composed and encoded."""
        if len(text) > HEAD * limit and (found := self.text_tokens(text[: HEAD * limit])) > HOPELESS * limit:
            raise _too_long(f"{expected}, found more than {found} in a text of {len(text)} characters.", text)

    def text_limit(self) -> int:
        """Most tokens of a text that is read in one piece."""
        longest = longest_window(self.max_window - len(self.chat.prompt_ids("")), self._budget)
        return min(self.generation.max_text_tokens or longest, longest)

    def text_tokens(self, piece: str) -> int:
        """Tokens of a text, without the prompt around it."""
        return len(self.chat.text_ids(normalize_text(piece).text))

    def request(self, text: str) -> GenerationRequest:
        """Request to the engine for one text.

        Raises:
            EmptyTextError: There is nothing to read in the text.
            InputTooLongError: The prompt leaves no room for a record.
            ExtractionError: The text cannot be put into a prompt.
        """
        most = (
            f"Expected at most {self.max_window - MIN_ROOM} prompt tokens (window {self.max_window}, {MIN_ROOM} kept "
            "for the record)"
        )
        try:
            self._refuse_hopeless(require_text(text), self.max_window, most)
            normalized = normalize_text(text).text
            prompt_ids = self.chat.prompt_ids(normalized)
        except PromptError as error:
            problem = ExtractionError(f"The text cannot be put into the prompt: {error}", text=text)
            for note in getattr(error, "__notes__", ()):
                problem.hint(note)
            raise problem from error
        budget = self._budget(len(prompt_ids) - len(self.chat.prefix_ids))
        room = self.max_window - len(prompt_ids)
        if room < min(budget, MIN_ROOM):
            raise _too_long(f"{most}, found {len(prompt_ids)}.", text)
        longest = max(len(normalized), MIN_STRING, CHARACTERS_PER_TOKEN * self.generation.min_budget)
        try:
            grammar = self.grammar.compile(self.schema, max_string_length=longest, text=normalized)
        except GrammarError:
            raise InputTooLongError(
                f"Expected a text to copy verbatim fields from, found {len(normalized)} characters, too many for a "
                "grammar.",
                text=text,
            ).hint(
                "Set GenerationConfig.split_long_texts, with a max_text_tokens, to read it piece by piece."
            ) from None
        return GenerationRequest(
            prompt_ids=tuple(prompt_ids),
            grammar=grammar,
            max_new_tokens=min(budget, room),
            draft_ids=tuple(self.chat.text_ids(normalized)),
        )

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
        if not problems:
            return extraction
        return replace(extraction, explanation_error=f"could not be computed: {', '.join(problems)}")

    def _spans(self, extraction: Extraction[T]) -> dict[str, tuple[Span, ...]]:
        if extraction.windows:
            return combine_spans(self.schema, extraction)
        return ground(self.schema, self.schema.canonical_value(extraction.output), extraction.text)

    def confidence(self, extraction: Extraction[T]) -> Confidence:
        """Confidence in a record: calibrated, if there is a calibration; 0 for a record that was cut short."""
        raw = self.raw_confidence(extraction)
        return raw if self.calibration is None else self.calibration.apply(raw)

    def raw_confidence(self, extraction: Extraction[T]) -> Confidence:
        """The model's own confidence."""
        if extraction.windows:
            pieces = [self.raw_confidence(window.extraction) for window in extraction.windows]
            return merge_confidence(extraction.windows, pieces)
        raw = raw_confidence(self.schema, extraction.completion, self.grammar.spelling)
        return replace(raw, record=0.0) if extraction.truncated else raw

    def _budget(self, text_tokens: int) -> int:
        if self.generation.max_new_tokens is not None:
            return self.generation.max_new_tokens
        return max(self._size.budget(text_tokens), self.generation.min_budget)

    def outcome(self, text: str, completion: Completion) -> Outcome[T]:
        """The record that a completion spells, or why there is none."""
        raw = self.chat.decode(completion.token_ids)
        if completion.finish_reason == "error":
            return ExtractionError(f"Decoding failed: {completion.error}", text=text, raw_output=raw)
        truncated = completion.finish_reason != "stop"
        if completion.finish_reason == "length" or (truncated and not self.generation.keep_truncated):
            return OutputTruncatedError(
                f"The record was not complete after {len(completion.steps)} new tokens.", text=text, raw_output=raw
            ).hint("Raise GenerationConfig.max_new_tokens, or set keep_truncated to get the closed record, marked.")
        try:
            record = self.schema.parse(raw)
        except ValidationError as error:
            return _refused(_places(error, raw, self.schema), text, raw)
        except Exception as error:  # a validator of the user's may raise anything, and spoils only this text
            if raised_by_signal(error):
                raise
            return _refused(f"a validator, which raised {type(error).__name__}", text, raw)
        return Extraction(record, text, raw, completion, truncated)


def _places(error: ValidationError, raw: str, schema: Schema[Any]) -> str:
    details = error.errors(include_url=False, include_input=False, include_context=False)
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    return ", ".join(f"{field_path(d['loc'], value, schema) or 'the record'} ({d['type']})" for d in details)


def _too_long(message: str, text: str) -> InputTooLongError:
    return InputTooLongError(message, text=text).hint(
        "Set GenerationConfig.split_long_texts to read it piece by piece, split it yourself, or take a base model with "
        "a longer window."
    )


def _refused(where: str, text: str, raw: str) -> OutputInvalidError:
    """Not chained to the error of the validation, which may quote the customer's values."""
    return OutputInvalidError(
        f"The schema's own validation refused the record at {where}.", text=text, raw_output=raw
    ).hint("The grammar knows types and constraints, not validators; see .raw_output for what was written.")
