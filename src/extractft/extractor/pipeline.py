"""From texts to records: asks the engine for each text, and reads what comes back.

Knows prompts, grammars and budgets by their interfaces; knows no model, no training and no files.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from extractft.completion import Completion, Engine, GenerationRequest, Grammar
from extractft.config import GenerationConfig
from extractft.constraints import GrammarCompiler, RecordSize
from extractft.data.field_paths import field_path
from extractft.errors import (
    EngineError,
    ExtractionError,
    GrammarError,
    InputTooLongError,
    OutputInvalidError,
    OutputTruncatedError,
    PromptError,
    ServerError,
)
from extractft.extractor.extraction import Extraction, Outcome, TextJob
from extractft.extractor.long_texts import longest_window, merge_windows
from extractft.extractor.text_source import TextSource, require_batch_size, require_text, require_texts
from extractft.grounding import Window, split_text
from extractft.processes import BoundToProcess, raised_by_signal
from extractft.prompt import ChatRenderer, EncodedText
from extractft.schema import Schema
from extractft.text import is_blank

__all__ = ["Pipeline"]

T = TypeVar("T")
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
    """Runs texts through an engine. Immutable: other settings make another one.

    Args:
        schema: The schema of the records.
        chat: Renders prompts and answers.
        engine: Makes completions.
        grammar: Compiles the schema for the engine's vocabulary.
        generation: Decoding settings.
        max_window: Longest prompt and answer together, in tokens.
        size: What a record may take up, if it is known already.
    """

    def __init__(
        self,
        schema: Schema[T],
        chat: ChatRenderer,
        engine: Engine,
        grammar: GrammarCompiler,
        generation: GenerationConfig,
        max_window: int,
        *,
        size: RecordSize | None = None,
    ) -> None:
        self.schema = schema
        self.chat = chat
        self.engine = engine
        self.grammar = grammar
        self.generation = generation
        self.max_window = max_window
        self._size = size or RecordSize.of(schema, lambda piece: len(chat.text_ids(piece)))

    def with_generation(self, generation: GenerationConfig) -> Pipeline[T]:
        """The same with other decoding settings."""
        return Pipeline(self.schema, self.chat, self.engine, self.grammar, generation, self.max_window, size=self._size)

    def outcomes(self, texts: Iterable[str], batch_size: int | None) -> Iterator[Outcome[T]]:
        """`run` for what a caller hands over.

        Raises:
            TypeError: `texts` is one text, a table, a mapping, a set, a file or no iterable.
            ConfigError: `batch_size` is less than 1.
        """
        require_batch_size(batch_size)
        return self.run(require_texts(texts), batch_size=batch_size)

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
                if (outcome := self.settle(head, completion)) is not None:
                    line.popleft()
                    yield outcome
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
            job = self.job(text)
            line.append(job)
            if isinstance(job, ExtractionError):
                failures += 1
                if failures == source.stop_after:
                    return
            else:
                failures = 0
                while job.requests:
                    yield job.requests.popleft()

    def job(self, text: Any) -> TextJob[T] | ExtractionError:
        """The requests for a text, or the reason that it cannot be asked about."""
        try:
            windows, encoded = self._measured(require_text(text))
            job: TextJob[T] = TextJob(text, windows)
            job.requests.extend(self.request(job.piece(window), encoded) for window in windows)
        except ExtractionError as error:
            if isinstance(text, str):
                error.text = text  # of all of it, where a piece was the trouble
            # Handed over as a value: with its traceback it would keep this frame, and all that is on its way.
            return error.with_traceback(None)
        return job

    def settle(self, job: TextJob[T], completion: Completion) -> Outcome[T] | None:
        """Take the next completion of a text; its outcome, once it is the last one."""
        job.outcomes.append(self.outcome(job.next_piece, completion))
        if not job.complete:
            return None
        return job.outcomes[0] if len(job.windows) == 1 else merge_windows(self.schema, job)

    def windows(self, text: str, encoded: EncodedText | None = None) -> list[Window]:
        """The pieces that a text is read in: one, unless it is long and may be split.

        Args:
            text: The text, as it was handed in.
            encoded: The same encoded, if it is already.

        Raises:
            InputTooLongError: The text is long and may not be split, or one character is too much.
        """
        return self._measured(text, encoded)[0]

    def _measured(self, text: str, encoded: EncodedText | None = None) -> tuple[list[Window], EncodedText | None]:
        """The pieces of a text; the whole text encoded, if it had to be measured and is one piece."""
        most, whole = self.generation.max_text_tokens, [Window(0, len(text))]
        if not (most or self.generation.split_long_texts):
            return whole, None
        try:
            limit = self.text_limit
            if not self.generation.split_long_texts:
                self._refuse_hopeless(text, limit, f"Expected at most max_text_tokens={most}")
            encoded = encoded or self.chat.encode(text)
        except PromptError:
            return whole, None  # the request for it says what is wrong
        if len(encoded.ids) <= limit:
            return whole, encoded
        if not self.generation.split_long_texts:
            raise _too_long(f"Expected at most max_text_tokens={most}, found {len(encoded.ids)}.", text)
        overlap = min(self.generation.overlap_tokens, limit // 2)
        windows = split_text(text, size=self.text_tokens, limit=limit, overlap=overlap)
        return [window for window in windows if not is_blank(text[window.start : window.end])], None

    def _refuse_hopeless(self, text: str, limit: int, expected: str) -> None:
        """Refuse a text of which the beginning alone is far too long, before all of it is composed and encoded."""
        if len(text) > HEAD * limit and (found := self.text_tokens(text[: HEAD * limit])) > HOPELESS * limit:
            raise _too_long(f"{expected}, found more than {found} in a text of {len(text)} characters.", text)

    @cached_property
    def text_limit(self) -> int:
        """Most tokens of a text that is read in one piece."""
        longest = longest_window(self.max_window - len(self.chat.prompt_ids("")), self._budget)
        return min(self.generation.max_text_tokens or longest, longest)

    def text_tokens(self, piece: str) -> int:
        """Tokens of a text, without the prompt around it."""
        return len(self.chat.text_ids(piece))

    def request(self, text: str, encoded: EncodedText | None = None) -> GenerationRequest:
        """Request to the engine for one text.

        Args:
            text: The text, as it was handed in.
            encoded: The same encoded, if it is already.

        Raises:
            EmptyTextError: There is nothing to read in the text.
            InputTooLongError: The prompt leaves no room for a record.
            ExtractionError: The text cannot be put into a prompt.
        """
        most = (
            f"Expected at most {self.max_window - MIN_ROOM} prompt tokens (window {self.max_window}, {MIN_ROOM} kept "
            "for the record)"
        )
        if encoded is None:
            encoded = self._encode(text, most)
        prompt_ids = self.chat.prompt_ids(encoded)
        budget = self._budget(len(prompt_ids) - len(self.chat.prefix_ids))
        room = self.max_window - len(prompt_ids)
        if room < min(budget, MIN_ROOM):
            raise _too_long(f"{most}, found {len(prompt_ids)}.", text)
        return GenerationRequest(
            prompt_ids=tuple(prompt_ids),
            grammar=self._grammar(text, encoded.text),
            max_new_tokens=min(budget, room),
            draft_ids=encoded.ids,
        )

    def _encode(self, text: str, most: str) -> EncodedText:
        try:
            self._refuse_hopeless(require_text(text), self.max_window, most)
            return self.chat.encode(text)
        except PromptError as error:
            problem = ExtractionError(f"The text cannot be put into the prompt: {error}", text=text)
            for note in getattr(error, "__notes__", ()):
                problem.hint(note)
            raise problem from error

    def _grammar(self, text: str, normalized: str) -> Grammar:
        """The grammar of the text's record."""
        longest = max(len(normalized), MIN_STRING, CHARACTERS_PER_TOKEN * self.generation.min_budget)
        try:
            return self.grammar.compile(self.schema, max_string_length=longest, text=normalized)
        except GrammarError:
            raise InputTooLongError(
                f"Expected a text to copy verbatim fields from, found {len(normalized)} characters, too many for a "
                "grammar.",
                text=text,
            ).hint(
                "Set GenerationConfig.split_long_texts, with a max_text_tokens, to read it piece by piece."
            ) from None

    def _budget(self, text_tokens: int) -> int:
        if self.generation.max_new_tokens is not None:
            return self.generation.max_new_tokens
        return max(self._size.budget(text_tokens), self.generation.min_budget)

    def outcome(self, text: str, completion: Completion) -> Outcome[T]:
        """The record that a completion spells, or why there is none."""
        raw = self.chat.decode(completion.token_ids)
        if completion.finish_reason == "error":
            return _engine_failure(completion, text, raw)
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


def _engine_failure(completion: Completion, text: str, raw: str) -> ExtractionError:
    """The error of a text that the engine could not go on with."""
    cause = completion.cause
    if not isinstance(cause, EngineError):
        return ExtractionError(f"Decoding failed: {completion.error}", text=text, raw_output=raw)
    status, retryable = getattr(cause, "status", None), getattr(cause, "retryable", False)
    failure = ServerError(str(completion.error), text=text, raw_output=raw, status=status, retryable=retryable)
    for note in getattr(cause, "__notes__", ()):
        failure.hint(note)
    failure.__cause__ = cause  # whose class says more; its words quote no text
    return failure


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
