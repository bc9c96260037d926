"""The seam between the remote engine and the kinds of servers: one module a kind implements it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from extractft.completion import Completion, Constraint, EngineCapabilities, GenerationRequest
from extractft.remote.retrying_client import ServerClient

__all__ = ["LARK_HEADER", "MALFORMED", "PromptCodec", "RequestSettings", "ServerDialect", "ServerRequest"]

LARK_HEADER = "%llguidance {}\n"
"""First line of every grammar that is sent: llguidance reads it, and other parsers refuse it rather than differ."""

MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""Errors of reading an answer that has another form than it should: other types, other numbers, other depths."""


class PromptCodec(Protocol):
    """Prompts and answers in characters, for servers that take no token ids; `ChatRenderer` is one."""

    @property
    def system_prompt(self) -> str:
        """The system prompt."""
        ...

    def completion_ids(self, json_text: str) -> list[int]:
        """Token ids of an answer, the end token included."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Characters of token ids."""
        ...


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """Settings that all requests of one engine share.

    Attributes:
        model: Name under which the server serves the model.
        end_token_id: The token that ends a record.
        num_alternatives: Most probable allowed tokens to report at each decision.
        codec: Prompts and answers in characters.
        constraint: The constraint that the server enforces.
    """

    model: str
    end_token_id: int
    num_alternatives: int
    codec: PromptCodec
    constraint: Constraint = "llguidance"


@dataclass(frozen=True, slots=True)
class ServerRequest:
    """A request as one kind of server takes it.

    Attributes:
        path: Path of the API.
        body: The JSON that is posted there.
        token_bytes: Bytes of the answer that one token may take, several times what was seen.
    """

    path: str
    body: Mapping[str, Any]
    token_bytes: int = 16 << 10


class ServerDialect(Protocol):
    """One kind of server: how it is recognised, asked and understood.

    Attributes:
        kind: Its name in addresses, `kind+http://host:port`.
        grammar_advice: The setting that makes such a server obey grammars.
        window_advice: The setting that gives it a longer window.
    """

    kind: str
    grammar_advice: str
    window_advice: str

    def recognises(self, owners: Collection[str]) -> bool:
        """True if a server is of this kind, by those that own its models, as `/v1/models` says."""
        ...

    async def inspect(self, client: ServerClient, model: str | None) -> EngineCapabilities:
        """Find out what the server serves.

        Args:
            client: The server.
            model: The model to use; the only one that it serves if `None`.

        Raises:
            EngineError: It does not serve that model, or several and none was named.
        """
        ...

    async def tokenize(self, client: ServerClient, model: str, text: str) -> list[int] | None:
        """Token ids that the server gives a text, without special tokens; `None` if it does not tell."""
        ...

    def request(self, request: GenerationRequest, settings: RequestSettings) -> ServerRequest:
        """The request in the server's terms."""
        ...

    def completion(self, request: GenerationRequest, answer: Any, settings: RequestSettings) -> Completion:
        """The server's answer as a completion.

        Raises:
            Exception: One of `MALFORMED`: the answer is not of the form that this kind of server gives.
            InvalidAnswerError: It is, and what it spells is no record of the grammar.
        """
        ...
