"""The seam between extractor and engine: requests in, completions out.

An engine turns prompt token ids and a grammar into token ids with their log-probabilities. Everything above (schema,
text, records) is unknown to it, so another engine can take its place. Knows token ids, not text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

__all__ = [
    "Choices",
    "Completion",
    "Constraint",
    "Engine",
    "EngineCapabilities",
    "FinishReason",
    "GenerationRequest",
    "Grammar",
    "Matcher",
    "Proposal",
    "Proposer",
    "RecordProposer",
    "TokenStep",
    "capabilities_of",
]

FinishReason = Literal["stop", "closed", "length", "error"]
"""Reason for which a completion ended.

`stop`: the model ended it. `closed`: the budget ran out and the record was closed by a short way that the grammar
allows. `length`: the budget ran out and no way to close it was found. `error`: the engine could not go on with this
request; `Completion.error` says why.
"""


class Matcher(Protocol):
    """The state of one grammar along one completion."""

    def fill_mask(self, mask: bytearray | memoryview) -> None:
        """Write the set of allowed next tokens as a little-endian bit mask, bit `i % 8` of byte `i // 8` for id `i`.

        The mask is whole 32-bit words: `4 * ceil(vocab_size / 32)` bytes.

        Raises:
            GrammarError: The grammar became too complex to go on with.
        """
        ...

    def consume(self, token_id: int) -> None:
        """Advance by one token that the mask allows.

        Raises:
            GrammarError: The token is not allowed here.
        """
        ...

    def copy(self) -> Matcher:
        """An independent matcher in the same state."""
        ...

    def is_finished(self) -> bool:
        """True if the end token was consumed, or nothing more can follow."""
        ...

    def is_complete(self) -> bool:
        """True if the record may end here."""
        ...

    def forced_tokens(self) -> list[int]:
        """The token ids that spell what has to come next, empty if there is a choice.

        Spelled as the tokenizer would; another split into tokens may be allowed as well.
        """
        ...

    def closing_tokens(self, limit: int) -> list[int] | None:
        """A short way to a complete record within `limit` tokens, end token included; `None` if none was found."""
        ...


class Grammar(Protocol):
    """The language of one completion: all that its tokens may spell."""

    @property
    def source(self) -> str:
        """The grammar in llguidance's serialised form."""
        ...

    @property
    def lark(self) -> str:
        """The grammar in llguidance's dialect of Lark, as servers take it."""
        ...

    @property
    def json_schema(self) -> Mapping[str, Any]:
        """The shape of the record as a JSON schema, for servers that know no other grammar; blind to the text."""
        ...

    @property
    def mask_bytes(self) -> int:
        """Length of the masks that its matchers fill, in bytes."""
        ...

    def spelling(self, token_id: int) -> bytes:
        """The bytes that a token spells."""
        ...

    def tokenize(self, spelled: bytes) -> list[int]:
        """The tokens that the tokenizer splits bytes into, which may begin or end within a character.

        Spelled-out control tokens are taken for such tokens: this is for guesses, not for prompts.
        """
        ...

    def matcher(self) -> Matcher:
        """A fresh matcher at the start of the grammar."""
        ...


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One completion to make.

    Attributes:
        prompt_ids: Token ids of the whole prompt.
        grammar: The request's own grammar; a verbatim field makes it depend on the text.
        max_new_tokens: Budget of new tokens, the end token included.
        draft_ids: Token ids that drafts may copy from, usually the source text's. Engines may ignore them.
    """

    prompt_ids: tuple[int, ...]
    grammar: Grammar
    max_new_tokens: int
    draft_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenStep:
    """One decided token.

    Attributes:
        token_id: The token.
        logprob: Natural log of its probability under the model; `None` from an engine that only knows the next one.
        constrained_logprob: The same, renormalised over the tokens that the grammar allowed.
        forced: True if the grammar allowed this token alone, or it was put there to close the record. The model was
            not asked about the latter; their log-probabilities are 0.
        alternatives: `(token id, constrained_logprob)` of the most probable allowed tokens, the best first; empty
            where the token was forced.
        unseen: Most of the allowed probability that an engine which is told the most probable tokens alone may have
            missed, as a share: `constrained_logprob` and those of the alternatives are too high by
            `-log(1 - unseen)` at most.
    """

    token_id: int
    logprob: float | None
    constrained_logprob: float
    forced: bool = False
    alternatives: tuple[tuple[int, float], ...] = ()
    unseen: float = 0.0


@dataclass(frozen=True, repr=False, slots=True)
class Completion:
    """An engine's answer to a request.

    Attributes:
        steps: The decided tokens, without the end token.
        finish_reason: The reason for which it ended.
        error: The failure in words if `finish_reason` is `"error"`; says nothing of the text.
        cause: The exception behind it, if there was one.
    """

    steps: tuple[TokenStep, ...]
    finish_reason: FinishReason
    error: str | None = None
    cause: Exception | None = None

    def __repr__(self) -> str:
        failed = f", error={self.error!r}" if self.error is not None else ""
        return f"Completion({len(self.steps)} tokens, finish_reason={self.finish_reason!r}{failed})"

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The decided token ids, without the end token."""
        return tuple(step.token_id for step in self.steps)


Constraint = Literal["llguidance", "gbnf", "json_schema", "none"]
"""A language that an engine can be held to while it decodes."""


@dataclass(frozen=True, slots=True)
class EngineCapabilities:
    """Features of an engine, for users to read and for the extractor to act on.

    Attributes:
        kind: The kind of engine: `"transformers"`, or a kind of server such as `"vllm"` or `"llama.cpp"`.
        model: The name under which a server serves the model; empty for an engine of this process.
        version: The server's own version, as it reports it.
        max_window: Longest prompt and answer together in tokens, as far as a server tells.
        grammar: The constraint that it enforces while decoding: `"llguidance"` is the whole grammar, verbatim fields
            included; `"gbnf"` is one that does not know the text; `"json_schema"` is the shape alone. What a weaker
            constraint lets pass is checked when the answer arrives.
        logprobs: Log-probabilities that it gives: `"constrained"` are those among the tokens that the grammar allows;
            `"renormalized"` are computed from those of the most probable tokens; `"none"` means that records come
            without a confidence.
        token_ids: True if prompts and answers travel as token ids, so that nobody tokenizes twice.
        notes: Each missing feature, and the setting that brings it.
    """

    kind: str
    model: str = ""
    version: str | None = None
    max_window: int | None = None
    grammar: Constraint = "llguidance"
    logprobs: Literal["constrained", "renormalized", "none"] = "constrained"
    token_ids: bool = True
    notes: tuple[str, ...] = ()


class Engine(Protocol):
    """A maker of completions. Safe to call from several threads at once.

    It may have an attribute `capabilities` that says what it can do; one without can do all that the protocol names.
    """

    def generate(self, requests: Iterable[GenerationRequest], *, batch_size: int | None = None) -> Iterator[Completion]:
        """Yield one completion for each request, in order; requests are taken lazily, two batches ahead at most.

        `batch_size` is the number to make side by side, the engine's own setting if `None`.
        """
        ...


def capabilities_of(engine: Engine) -> EngineCapabilities:
    """The features that an engine declares, or else those of the protocol."""
    declared = getattr(engine, "capabilities", None)
    return declared if isinstance(declared, EngineCapabilities) else EngineCapabilities(type(engine).__name__)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A guess of the next token.

    Attributes:
        token_id: The token. One that the grammar does not allow, or that ends the record, is dropped.
        probability: Estimate that it is right, if all before it is; guesses too unlikely for a place in a pass are
            dropped. If those of one place come to more than 1, they are scaled down.
    """

    token_id: int
    probability: float


class Choices(Protocol):
    """The tokens that the grammar allows next."""

    @property
    def forced(self) -> int | None:
        """The token that spells what has to come next, as the tokenizer would; `None` if there is a choice."""
        ...

    def allows(self, token_id: int) -> bool:
        """True if the token may come next and does not end the record."""
        ...


class RecordProposer(Protocol):
    """The guesses for one record. Called by one thread at a time."""

    def propose(self, record: tuple[int, ...], choices: Choices) -> Iterable[Proposal]:
        """Guess the token behind `record`.

        Args:
            record: The record's tokens so far; the last ones may be guesses themselves.
            choices: What the grammar allows behind them.
        """
        ...

    def observe(self, record: tuple[int, ...], decided: Sequence[int]) -> None:
        """Learn the tokens that the model decided on behind `record`; called after each pass."""
        ...

    def finish(self, record: tuple[int, ...]) -> None:
        """Learn a whole record; called once, and not for records that failed or were cut short.

        Records go on side by side, and are finished in the order in which they end, not in that in which they began:
        the record before this one is the last that ended, and may have begun later. While a record is made others may
        end, so what they taught changes under its later guesses.
        """
        ...


class Proposer(Protocol):
    """A source of guesses: one for an engine, whatever records it makes. Called by one thread at a time.

    `speculation/registry.py` says how one is written and registered.
    """

    def start(self, request: GenerationRequest) -> RecordProposer:
        """Begin a record; a record that is begun anew after a failure is started anew."""
        ...
