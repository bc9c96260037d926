"""A model behind a server that labels texts: several samples of each, put together by vote.

It does what a bulk run needs of an extractor, `inspect_many`. Any server with OpenAI's `/v1/chat/completions` will do;
it is held to the schema where it can be, and every answer is checked here. Knows chats and records; knows no files.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Literal

from pydantic import Field

from extractft.completion import Completion
from extractft.config import Config
from extractft.data.example_loader import validate_text
from extractft.data.output_parser import OutputParser
from extractft.data.raw_row import InvalidRow
from extractft.data.strict_json import InvalidJson, parse_json, unwrap_answer
from extractft.errors import EmptyTextError, EngineError, ExtractionError, OutputInvalidError, ServerError
from extractft.extractor.extraction import Extraction
from extractft.grounding import ground
from extractft.labelling.allowed_hosts import require_allowed
from extractft.labelling.sample_votes import Vote, not_verbatim, vote
from extractft.prompt import render_system_prompt
from extractft.remote.connect import API_KEY
from extractft.remote.event_loop import submit
from extractft.remote.llama_cpp import plain_schema
from extractft.remote.retrying_client import Retries, ServerAnswerError, ServerClient, Timeouts
from extractft.schema import Schema

__all__ = ["Teacher", "TeacherConfig"]

Form = Literal["json_schema", "json_object", "none"]
FORMS: tuple[Form, ...] = ("json_schema", "json_object", "none")
"""Ways to hold a server to JSON, the strictest first."""
NOT_KNOWN = (400, 404, 415, 422, 501)
"""Statuses of servers that do not know a way to hold them."""
NO_LIST = (400, 404, 405, 500, 501)
"""Statuses of servers that do not list their models."""
MOST_SHOWN = 300
"""Characters of the names of models in a message."""
CHAT = "/v1/chat/completions"


class TeacherConfig(Config):
    """Settings of a teacher that shape its labels."""

    model: str
    """Its name in requests."""
    samples: int = Field(default=3, ge=1, le=50)
    """Answers to each text, the first of them at temperature 0."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    """Of the further answers."""
    max_tokens: int = Field(default=2048, ge=1)
    """Tokens of one answer."""
    instructions: str = ""
    """Further instructions, behind the system prompt of the schema."""


class Teacher:
    """A teacher for one schema.

    Args:
        schema: The class of the records, or its `Schema`.
        url: The address of the server.
        config: Model, samples and temperature.
        allowed_hosts: Hosts that texts may go to, beside this machine.
        api_key: The server's key; that of EXTRACTFT_ENGINE_API_KEY if `None`.
        concurrency: Requests under way at once.
        timeout: Seconds for one answer.
        retries: Further tries of a request that failed for a moment.

    Raises:
        ConfigError: The host is not allowed.
    """

    def __init__(
        self,
        schema: Any,
        url: str,
        config: TeacherConfig,
        *,
        allowed_hosts: Iterable[str] = (),
        api_key: str | None = None,
        concurrency: int = 8,
        timeout: float = 120.0,
        retries: Retries | None = None,
    ) -> None:
        address = require_allowed(url, allowed_hosts)
        self.schema: Schema[Any] = Schema.of(schema)
        self.generation = config
        self.system_prompt = "\n\n".join(filter(None, (render_system_prompt(self.schema), config.instructions)))
        self.refusals: Counter[str] = Counter()
        self._parser = OutputParser(self.schema)
        self._json_schema = plain_schema(self.schema.grammar_schema())
        self._form: Form = FORMS[0]
        self._found = False
        self._concurrency = concurrency
        key = os.environ.get(API_KEY) if api_key is None else api_key
        self._client = ServerClient(
            address,
            api_key=key,
            max_in_flight=concurrency,
            timeouts=Timeouts(read=timeout),
            retries=retries,
        )

    @property
    def held_by(self) -> Form:
        """The strictest way to hold it to JSON that its server has not refused."""
        return self._form

    def close(self) -> None:
        """Close its connections."""
        submit(self._client.close()).result()

    def inspect_many(
        self, texts: Iterable[str], *, batch_size: int | None = None, explain: Sequence[str] = ("confidence", "spans")
    ) -> Iterator[Extraction[Any] | ExtractionError]:
        """The label of each text, in order, or why there is none; a few texts ahead are asked for meanwhile.

        Args:
            texts: The texts.
            batch_size: Texts that are asked for at once; as many as requests may be under way if `None`.
            explain: `spans` looks for the places of values as well.

        Raises:
            EngineError: The server cannot be reached, wants a key, or says that it does not have the model.
        """
        if not self._found:
            self._require_model()
        ahead = max(1, batch_size or self._concurrency)
        waiting: deque[Future[Extraction[Any] | ExtractionError]] = deque()
        try:
            for text in texts:
                waiting.append(submit(self._label(text, "spans" in explain)))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _require_model(self) -> None:
        """Refuse a server that is not there or lists other models; one that has no list is taken on trust.

        Raises:
            EngineError: It is such a server.
        """
        try:
            answer = submit(self._client.get("/v1/models")).result()
        except ServerAnswerError as error:
            if error.status not in NO_LIST:
                raise
            answer = None
        entries = answer.get("data") if isinstance(answer, dict) else None
        names = [str(entry.get("id")) for entry in entries or () if isinstance(entry, dict)]
        if names and self.generation.model not in names:
            shown = ", ".join(sorted(names))[:MOST_SHOWN]
            raise EngineError(f"Expected a teacher with the model {self.generation.model!r}, found one with {shown}.")
        self._found = True

    async def _label(self, text: str, with_spans: bool) -> Extraction[Any] | ExtractionError:
        try:
            validate_text(text)
        except InvalidRow as problem:
            return EmptyTextError(f"Expected a text, found {problem.faults[0].kind}.", text=text)
        samples = await asyncio.gather(*(self._sample(text, number) for number in range(self.generation.samples)))
        records = [sample for sample in samples if not isinstance(sample, ExtractionError)]
        if not records:
            return _worst([sample for sample in samples if isinstance(sample, ExtractionError)])
        return self._extraction(text, vote(records, len(samples), self.schema), with_spans)

    def _extraction(self, text: str, found: Vote, with_spans: bool) -> Extraction[Any]:
        raw = json.dumps(found.record, ensure_ascii=False)
        spans = ground(self.schema, found.record, text) if with_spans else {}
        return Extraction(found.output, text, raw, Completion((), "stop"), spans=spans, confidence=found.confidence)

    async def _sample(self, text: str, number: int) -> Any:
        """A record in canonical form, or an error for this text."""
        try:
            content = _content(await self._ask(text, number))
            record = self.schema.canonical_value(self._parser.parse(_answer(content)))
            wrong = not_verbatim(record, text, self.schema)
            if wrong:
                raise _Unusable("NotVerbatim", f"the value of the verbatim field {wrong[0]} is not in the text")
            return record
        except InvalidRow as problem:
            self.refusals["InvalidAnswer"] += 1
            return OutputInvalidError(f"The teacher's answer is no record: {problem.faults[0].message}.", text=text)
        except _Unusable as problem:
            self.refusals[problem.kind] += 1
            return OutputInvalidError(f"The teacher's answer is no record: {problem}.", text=text)
        except ServerAnswerError as error:
            self.refusals[f"Status{error.status}" if error.status else "NoAnswer"] += 1
            return ServerError(str(error), text=text, status=error.status, retryable=error.retryable)

    async def _ask(self, text: str, number: int) -> Any:
        """The answer of the server, which is held less strictly once it has refused a stricter way."""
        form = self._form
        try:
            return await self._client.post(CHAT, self._request(text, number, form))
        except ServerAnswerError as error:
            if error.status not in NOT_KNOWN or form == FORMS[-1]:
                raise
            return await self._held_less(text, number, form, error)

    async def _held_less(self, text: str, number: int, refused: Form, error: ServerAnswerError) -> Any:
        """The answer in a less strict way, which is kept if it succeeds."""
        for form in FORMS[FORMS.index(refused) + 1 :]:
            try:
                answer = await self._client.post(CHAT, self._request(text, number, form))
            except ServerAnswerError as other:
                if other.status not in NOT_KNOWN:
                    raise
                continue
            if FORMS.index(form) > FORMS.index(self._form):
                self._form = form
            return answer
        raise error

    def _request(self, text: str, number: int, form: Form) -> Mapping[str, Any]:
        config = self.generation
        request: dict[str, Any] = {
            "model": config.model,
            "messages": [{"role": "system", "content": self.system_prompt}, {"role": "user", "content": text}],
            "temperature": 0 if number == 0 else config.temperature,
            "seed": number,
            "max_tokens": config.max_tokens,
        }
        if form == "json_schema":
            named = {"name": "record", "strict": True, "schema": self._json_schema}
            request["response_format"] = {"type": form, "json_schema": named}
        elif form == "json_object":
            request["response_format"] = {"type": form}
        return request


class _Unusable(Exception):
    """An answer that is no record; its words quote nothing."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


def _content(answer: Any) -> str:
    """The words of an answer."""
    try:
        choice = answer["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        content = message.get("content")
        refused = message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise _Unusable("InvalidAnswer", "the server's answer has no message") from error
    if refused or reason == "content_filter":
        raise _Unusable("Refusal", "the teacher refused the text")
    if reason == "length":
        raise _Unusable("Truncated", "it is longer than max_tokens allows")
    if not isinstance(content, str) or not content.strip():
        raise _Unusable("InvalidAnswer", "it is empty")
    return content


def _answer(content: str) -> Any:
    """The record in an answer, for the parser: JSON, with a think block or a fence around it or not."""
    try:
        return parse_json(unwrap_answer(content))
    except InvalidJson as problem:
        raise _Unusable("InvalidAnswer", str(problem)) from problem


def _worst(errors: Sequence[ExtractionError]) -> ExtractionError:
    """The error to tell: one that may be mended by trying again, else the first."""
    return next((error for error in errors if getattr(error, "retryable", False)), errors[0])
