"""Any server that speaks OpenAI's chat completions: the shape of the record by JSON schema, the rest checked here.

`/v1/chat/completions` with `response_format`: what Ollama, LMDeploy, gateways and hosted models have in common. They
render their own chat template, take no token ids and know no verbatim fields; what they write is put into the
canonical form and held against the grammar. Records have no confidence. Knows no kind of server by name.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from extractft.completion import Completion, EngineCapabilities, GenerationRequest, TokenStep
from extractft.errors import PromptError
from extractft.remote.json_answers import read_json_answer
from extractft.remote.llama_cpp import plain_schema
from extractft.remote.retrying_client import ServerClient
from extractft.remote.served_models import find_model
from extractft.remote.server_dialect import RequestSettings, ServerRequest
from extractft.remote.token_steps import ended_otherwise

__all__ = ["OpenAICompatible"]

NOTES = (
    "no grammar of ours: verbatim fields and the canonical form are checked when the answer is there",
    "no token ids: the server's own chat template and tokenizer are taken on trust",
    "no log-probabilities under a grammar: records have no confidence",
)


class OpenAICompatible:
    """A server of which nothing is known but that it has `/v1/chat/completions`."""

    kind = "openai"
    grammar_advice = "The server has to obey response_format with a JSON schema, as Ollama, vLLM and llama.cpp do."
    window_advice = "Start the server with a longer context (Ollama: OLLAMA_CONTEXT_LENGTH)."

    def recognises(self, owners: Collection[str]) -> bool:
        """Always true: this is the kind of all others."""
        return True

    async def inspect(self, client: ServerClient, model: str | None) -> EngineCapabilities:
        """The model that it serves."""
        entry = await find_model(client, model)
        return EngineCapabilities(
            kind=self.kind,
            model=entry.name,
            max_window=entry.window,
            grammar="json_schema",
            logprobs="none",
            token_ids=False,
            notes=NOTES,
        )

    async def tokenize(self, client: ServerClient, model: str, text: str) -> list[int] | None:
        """None: there is no such request."""
        return None

    def request(self, request: GenerationRequest, settings: RequestSettings) -> ServerRequest:
        """The request for `/v1/chat/completions`."""
        schema = plain_schema(request.grammar.json_schema)
        return ServerRequest(
            "/v1/chat/completions",
            {
                "model": settings.model,
                "messages": [
                    {"role": "system", "content": settings.codec.system_prompt},
                    {"role": "user", "content": settings.codec.decode(request.draft_ids)},
                ],
                "temperature": 0,
                "max_tokens": request.max_new_tokens,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "record", "strict": True, "schema": schema},
                },
                "chat_template_kwargs": {"enable_thinking": False},
            },
        )

    def completion(self, request: GenerationRequest, answer: Any, settings: RequestSettings) -> Completion:
        """The completion of one choice, in the canonical form."""
        choice = answer["choices"][0]
        reason, content = choice.get("finish_reason"), choice["message"].get("content")
        if reason == "length":
            return Completion(_spelled(content, settings), "length")
        if reason != "stop" or not isinstance(content, str):
            return ended_otherwise((), reason)
        return read_json_answer(request, content, settings.codec)


def _spelled(content: Any, settings: RequestSettings) -> tuple[TokenStep, ...]:
    """Steps for what a server wrote before it was cut off, to be shown and counted."""
    try:
        ids = settings.codec.completion_ids(str(content or ""))[:-1]
    except (PromptError, UnicodeEncodeError):
        return ()
    return tuple(TokenStep(i, None, 0.0) for i in ids)
