"""vLLM: token ids in and out, our own grammar, log-probabilities under it.

`/v1/completions` with `structured_outputs.grammar`. Every grammar goes as Lark behind the line `%llguidance {}`: with
the backends `auto` and `guidance` it then runs in llguidance, as here, and `xgrammar` refuses it instead of reading
another language into it. vLLM writes the grammar into the logits before it takes log-probabilities, so that they are
those among the allowed tokens. Read in vLLM 0.32.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from extractft.completion import Completion, EngineCapabilities, GenerationRequest
from extractft.remote.matcher_replay import require_allowed
from extractft.remote.retrying_client import ServerClient
from extractft.remote.served_models import find_model
from extractft.remote.server_dialect import LARK_HEADER, RequestSettings, ServerRequest
from extractft.remote.token_steps import drop_end_token, ended_otherwise, to_token_step

__all__ = ["VLLM"]

LEAST_TOP = 2
"""Log-probabilities asked for at least: one finite number beside a masked one tells a forced token."""


class VLLM:
    """A vLLM server, or anything that speaks its completions API."""

    kind = "vllm"
    grammar_advice = "Start vLLM with --structured-outputs-config.backend guidance (or auto, the default)."
    window_advice = "Start vLLM with a larger --max-model-len."

    def recognises(self, owners: Collection[str]) -> bool:
        """True if the models are vLLM's."""
        return "vllm" in owners

    async def inspect(self, client: ServerClient, model: str | None) -> EngineCapabilities:
        """The model that it serves and its window."""
        version = await client.get("/version")
        entry = await find_model(client, model)
        return EngineCapabilities(
            kind=self.kind, model=entry.name, version=str(version.get("version")), max_window=entry.window
        )

    async def tokenize(self, client: ServerClient, model: str, text: str) -> list[int] | None:
        """Token ids by `/tokenize`."""
        body = {"model": model, "prompt": text, "add_special_tokens": False}
        return list((await client.post("/tokenize", body))["tokens"])

    def request(self, request: GenerationRequest, settings: RequestSettings) -> ServerRequest:
        """The request for `/v1/completions`."""
        return ServerRequest(
            "/v1/completions",
            {
                "model": settings.model,
                "prompt": list(request.prompt_ids),
                "max_tokens": request.max_new_tokens,
                "temperature": 0,
                "logprobs": max(settings.num_alternatives, LEAST_TOP),
                "return_token_ids": True,
                "return_tokens_as_token_ids": True,
                "structured_outputs": {"grammar": LARK_HEADER + request.grammar.lark},
                "stop_token_ids": [settings.end_token_id],
            },
        )

    def completion(self, request: GenerationRequest, answer: Any, settings: RequestSettings) -> Completion:
        """The completion of one choice."""
        choice = answer["choices"][0]
        ids, reason = choice.get("token_ids"), choice.get("finish_reason")
        logprobs = choice.get("logprobs") or {}
        if ids is None or len(logprobs.get("token_logprobs") or ()) != len(ids):
            raise ValueError("no token ids, or no log-probability for each of them")
        steps = [
            to_token_step(token_id, logprob, _by_token_id(top), num_alternatives=settings.num_alternatives)
            for token_id, logprob, top in zip(ids, logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True)
        ]
        if reason == "length":
            return Completion(tuple(steps), "length")
        if reason != "stop":
            return ended_otherwise(tuple(steps), reason)
        record = drop_end_token(steps, settings.end_token_id)
        require_allowed(request.grammar, [step.token_id for step in record])
        return Completion(record, "stop")


def _by_token_id(top: Mapping[str, float]) -> dict[int, float]:
    """`{"token_id:17": -0.5}` as ids and log-probabilities."""
    return {int(name.removeprefix("token_id:")): value for name, value in top.items()}
