"""llama.cpp's server: token ids in and out, our own grammar where llguidance is built in.

`/completion` with a grammar that begins with `%llguidance`. A server without llguidance gets the JSON schema, which it
turns into its own notation: that allows blanks and knows no text, so the answer is put right and checked here.

`n_probs` are log-probabilities before the grammar, of the most probable tokens alone. They are renormalised over what
the grammar's own matcher allows; `TokenStep.unseen` says how much may be missing. Tokens that end within a character
come without any. Read in the source of 2026-10 and tried on xllamacpp 2026.10.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from extractft.completion import Completion, Constraint, EngineCapabilities, GenerationRequest, Grammar, TokenStep
from extractft.remote.json_answers import read_json_answer
from extractft.remote.matcher_replay import renormalized_steps, require_allowed
from extractft.remote.retrying_client import ServerAnswerError, ServerClient
from extractft.remote.served_models import find_model
from extractft.remote.server_dialect import LARK_HEADER, RequestSettings, ServerRequest
from extractft.remote.token_steps import ended_otherwise

__all__ = ["LlamaCpp"]

REPORTED = 400
"""Most probable tokens to ask for: many more than are kept, as most of them may not be allowed. On citations 1 of 8
confidences was right to 0.001 with 40 of them, and 8 of 8 with 400; an answer has tens of kilobytes a token then."""
TOKEN_BYTES = 256 << 10
FIELDS = ("content", "tokens", "stop_type", "truncated", "completion_probabilities")
"""Parts of an answer that are wanted: by default it repeats the prompt and all settings."""
TINY_GRAMMAR = LARK_HEADER + 'start: "a"'
SCHEMA_NOTE = (
    "no llguidance: verbatim fields and the canonical form are checked when the answer is there, and records have no "
    "confidence. Build llama.cpp with -DLLAMA_LLGUIDANCE=ON"
)
PROBABILITY_NOTE = (
    f"log-probabilities are renormalised here over the {REPORTED} most probable tokens; tokens that end within a "
    "character have none"
)


class LlamaCpp:
    """A llama.cpp server."""

    kind = "llama.cpp"
    grammar_advice = "Build llama.cpp with -DLLAMA_LLGUIDANCE=ON, or take a package that has it."
    window_advice = "Start llama-server with a larger --ctx-size; it is shared among the slots of --parallel."

    def recognises(self, owners: Collection[str]) -> bool:
        """True if the models are llama.cpp's."""
        return "llamacpp" in owners

    async def inspect(self, client: ServerClient, model: str | None) -> EngineCapabilities:
        """The model that it serves, the window of a slot, and whether llguidance is built in."""
        entry = await find_model(client, model)
        about = await client.get("/props")
        constraint = await _constraint(client)
        ours = constraint == "llguidance"
        return EngineCapabilities(
            kind=self.kind,
            model=entry.name,
            version=about.get("build_info"),
            max_window=about.get("default_generation_settings", {}).get("n_ctx"),
            grammar=constraint,
            logprobs="renormalized" if ours else "none",
            notes=(PROBABILITY_NOTE if ours else SCHEMA_NOTE,),
        )

    async def tokenize(self, client: ServerClient, model: str, text: str) -> list[int] | None:
        """Token ids by `/tokenize`."""
        body = {"content": text, "add_special": False, "parse_special": False}
        return list((await client.post("/tokenize", body))["tokens"])

    def request(self, request: GenerationRequest, settings: RequestSettings) -> ServerRequest:
        """The request for `/completion`."""
        ours = settings.constraint == "llguidance"
        constraint: dict[str, Any] = (
            {"grammar": LARK_HEADER + request.grammar.lark, "n_probs": max(REPORTED, settings.num_alternatives)}
            if ours
            else {"json_schema": plain_schema(request.grammar.json_schema)}
        )
        return ServerRequest(
            "/completion",
            {
                "model": settings.model,
                "prompt": list(request.prompt_ids),
                "n_predict": request.max_new_tokens,
                "temperature": 0,
                "return_tokens": True,
                "cache_prompt": True,
                "stream": False,
                "response_fields": list(FIELDS),
                **constraint,
            },
            TOKEN_BYTES,
        )

    def completion(self, request: GenerationRequest, answer: Any, settings: RequestSettings) -> Completion:
        """The completion, with log-probabilities if the server keeps to our grammar."""
        ids, reason = [int(i) for i in answer["tokens"]], answer["stop_type"]
        if reason == "limit" or answer["truncated"]:
            return Completion(tuple(TokenStep(i, None, 0.0) for i in ids), "length")
        if reason != "eos":
            return ended_otherwise((), reason)
        if settings.constraint != "llguidance":
            return read_json_answer(request, str(answer["content"]), settings.codec)
        ids = ids[:-1]  # the end of the vocabulary's own choice, which may be another than the chat's
        require_allowed(request.grammar, ids)
        reported = list(_aligned(request.grammar, ids, answer.get("completion_probabilities") or ()))
        steps = renormalized_steps(request.grammar, ids, reported, num_alternatives=settings.num_alternatives)
        return Completion(tuple(steps), "stop")


def plain_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema without what only llguidance reads."""
    return {key: value for key, value in schema.items() if key != "x-guidance"}


async def _constraint(client: ServerClient) -> Constraint:
    """Ask for one token under a grammar that only llguidance reads."""
    body = {"prompt": "a", "n_predict": 1, "temperature": 0, "grammar": TINY_GRAMMAR}
    try:
        await client.post("/completion", body)
    except ServerAnswerError as error:
        if error.status is None or error.status in (401, 403):
            raise
        return "json_schema"
    return "llguidance"


def _aligned(
    grammar: Grammar, ids: Sequence[int], probabilities: Sequence[Mapping[str, Any]]
) -> Iterator[dict[int, float] | None]:
    """Reported log-probabilities for each token: none for one after which a character is incomplete."""
    place, pending = 0, b""
    for token_id in ids:
        pending = _incomplete(pending + grammar.spelling(token_id))
        if pending or place >= len(probabilities):
            yield None
            continue
        entry = probabilities[place]
        place += 1
        if int(entry["id"]) != token_id:
            raise ValueError("the token ids are others than those with log-probabilities")
        top = {int(other["id"]): float(other["logprob"]) for other in entry["top_logprobs"]}
        yield {**top, token_id: float(entry["logprob"])}


def _incomplete(spelled: bytes) -> bytes:
    """The bytes at the end that begin a character of UTF-8 and do not complete it."""
    for length in range(1, min(4, len(spelled)) + 1):
        first = spelled[-length]
        if first & 0xC0 == 0x80:
            continue
        size = 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2 if first >= 0xC0 else 1
        return spelled[-length:] if size > length else b""
    return b""
