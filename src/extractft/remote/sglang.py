"""SGLang: token ids in and out, our own grammar, log-probabilities under it.

`/generate` with `ebnf`, which the grammar backend `llguidance` reads as Lark; the default backend does not. SGLang
writes the grammar into the logits before it takes log-probabilities. Read in SGLang 0.5.23; tried on a server of our
own that speaks its protocol, not on SGLang itself.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from extractft.completion import Completion, EngineCapabilities, GenerationRequest
from extractft.errors import EngineError
from extractft.remote.bounded_answer import shown_word
from extractft.remote.matcher_replay import require_allowed
from extractft.remote.retrying_client import ServerAnswerError, ServerClient
from extractft.remote.served_models import find_model
from extractft.remote.server_dialect import LARK_HEADER, RequestSettings, ServerRequest
from extractft.remote.token_steps import drop_end_token, ended_otherwise, to_token_step

__all__ = ["SGLang"]

LEAST_TOP = 2
"""Log-probabilities asked for at least: one finite number beside a masked one tells a forced token."""
ADAPTER = ":"
"""Between the names of a base model and of its adapter in `EngineCapabilities.model`."""


class SGLang:
    """An SGLang server."""

    kind = "sglang"
    grammar_advice = "Start SGLang with --grammar-backend llguidance."
    window_advice = "Start SGLang with a larger --context-length."

    def recognises(self, owners: Collection[str]) -> bool:
        """True if the models are SGLang's."""
        return "sglang" in owners

    async def inspect(self, client: ServerClient, model: str | None) -> EngineCapabilities:
        """The model that it serves, its window and its grammar backend."""
        info = await _server_info(client)
        entry = await find_model(client, model)
        backend = info.get("grammar_backend")
        if backend not in (None, "llguidance"):
            found = shown_word(backend)
            raise EngineError(f"Expected the grammar backend llguidance at {client.base_url}, found {found!r}.").hint(
                self.grammar_advice
            )
        name = f"{entry.base}{ADAPTER}{entry.name}" if entry.base else entry.name
        version = info.get("version")
        return EngineCapabilities(
            kind=self.kind, model=name, version=None if version is None else str(version), max_window=entry.window
        )

    async def tokenize(self, client: ServerClient, model: str, text: str) -> list[int] | None:
        """Token ids by `/tokenize`."""
        body = {"prompt": text, "add_special_tokens": False}
        return list((await client.post("/tokenize", body))["tokens"])

    def request(self, request: GenerationRequest, settings: RequestSettings) -> ServerRequest:
        """The request for `/generate`."""
        _, _, adapter = settings.model.partition(ADAPTER)
        body: dict[str, Any] = {
            "input_ids": list(request.prompt_ids),
            "sampling_params": {
                "temperature": 0,
                "max_new_tokens": request.max_new_tokens,
                "stop_token_ids": [settings.end_token_id],
                "ebnf": LARK_HEADER + request.grammar.lark,
            },
            "return_logprob": True,
            "top_logprobs_num": max(settings.num_alternatives, LEAST_TOP),
            "return_text_in_logprobs": False,
            "stream": False,
        }
        return ServerRequest("/generate", body | ({"lora_path": adapter} if adapter else {}))

    def completion(self, request: GenerationRequest, answer: Any, settings: RequestSettings) -> Completion:
        """The completion; `output_token_logprobs` has ids and log-probabilities, a masked one is null."""
        about = answer["meta_info"]
        decided, tops = about["output_token_logprobs"], about["output_top_logprobs"]
        steps = tuple(
            to_token_step(
                int(token_id),
                _finite(logprob),
                {int(i): _finite(p) for p, i, *_ in top or ()},
                num_alternatives=settings.num_alternatives,
            )
            for (logprob, token_id, *_), top in zip(decided, tops, strict=True)
        )
        _require_ids(answer, [step.token_id for step in steps])
        reason = about["finish_reason"]["type"]
        if reason == "length":
            return Completion(steps, "length")
        if reason != "stop":
            return ended_otherwise(steps, reason)
        record = drop_end_token(steps, settings.end_token_id)
        require_allowed(request.grammar, [step.token_id for step in record])
        return Completion(record, "stop")


async def _server_info(client: ServerClient) -> dict[str, Any]:
    """Settings that the server was started with; older versions have them at another place."""
    for path in ("/server_info", "/get_server_info"):
        try:
            return dict(await client.get(path))
        except ServerAnswerError as error:
            if error.status != 404:
                raise
    return {}


def _require_ids(answer: Any, ids: Sequence[int]) -> None:
    """Check that there is a log-probability for every token."""
    written = answer.get("output_ids")
    if written is not None and list(written) != list(ids)[: len(written)]:
        raise ValueError("the token ids are others than those with log-probabilities")


def _finite(logprob: float | None) -> float:
    return -math.inf if logprob is None else float(logprob)
