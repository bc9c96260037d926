"""vLLM: token ids in and out, our own grammar, log-probabilities under it.

`/v1/completions` with `structured_outputs.grammar`. Every grammar goes as Lark behind the line `%llguidance {}`: with
the backends `auto` and `guidance` it then runs in llguidance, as here, and `xgrammar` refuses it instead of reading
another language into it. vLLM writes the grammar into the logits before it takes log-probabilities, so that they are
those among the allowed tokens. Read in vLLM 0.32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from extractft.completion import Completion, GenerationRequest
from extractft.errors import EngineError
from extractft.remote.capabilities import Capabilities
from extractft.remote.server_client import ServerAnswerError, ServerClient
from extractft.remote.server_dialect import RequestSettings, ServerRequest
from extractft.remote.token_steps import drop_end_token, to_token_step

__all__ = ["VLLM"]

HEADER = "%llguidance {}\n"
LEAST_TOP = 2
"""Log-probabilities asked for at least: one finite number beside a masked one tells a forced token."""


class VLLM:
    """A vLLM server, or anything that speaks its completions API."""

    kind = "vllm"
    grammar_advice = "Start vLLM with --structured-outputs-config.backend guidance (or auto, the default)."

    async def recognise(self, client: ServerClient) -> bool:
        """True if `/version` answers and the models are vLLM's."""
        try:
            version = await client.get("/version")
            models = await client.get("/v1/models")
        except ServerAnswerError as error:
            if error.status is None or error.status in (401, 403):
                raise
            return False
        return "version" in version and any(entry.get("owned_by") == "vllm" for entry in models.get("data", ()))

    async def inspect(self, client: ServerClient, model: str | None) -> Capabilities:
        """The model that it serves and its window."""
        version = await client.get("/version")
        served = {entry["id"]: entry for entry in (await client.get("/v1/models"))["data"]}
        entry = served[choose_model(served, model, client.base_url)]
        while entry.get("max_model_len") is None and entry.get("parent") in served:
            entry = served[entry["parent"]] | {"id": entry["id"]}  # an adapter has the window of its base
        return Capabilities(
            kind=self.kind,
            model=entry["id"],
            version=str(version.get("version")),
            max_window=entry.get("max_model_len"),
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
                "structured_outputs": {"grammar": HEADER + request.grammar.lark},
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
            return Completion(tuple(steps), "error", f"The server ended the record for another reason: {reason}.")
        return Completion(drop_end_token(steps, settings.end_token_id), "stop")


def choose_model(served: Mapping[str, Any], model: str | None, url: str) -> str:
    """The model to use: the one that was named, or the only one.

    Raises:
        EngineError: It is not served, or there are several.
    """
    names = ", ".join(sorted(served)) or "none"
    if model is not None and model not in served:
        raise EngineError(f"Expected the model {model!r} at {url}, found {names}.").hint(
            "Start the server with that model, or name one of these: http://host:8000?model=NAME"
        )
    if model is None and len(served) != 1:
        raise EngineError(f"Expected one model at {url}, found {names}.").hint(
            "Name the one to use: http://host:8000?model=NAME"
        )
    return model if model is not None else next(iter(served))


def _by_token_id(top: Mapping[str, float]) -> dict[int, float]:
    """`{"token_id:17": -0.5}` as ids and log-probabilities."""
    return {int(name.removeprefix("token_id:")): value for name, value in top.items()}
