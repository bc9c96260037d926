"""The HTTP of servers in front of an engine of ours: for what a real server cannot be made to do on demand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from extractft.completion import Completion
from extractft.remote import Retries

MODEL = "tuned"
TEXTS = ["tea for b", "rice now", "one 茶", "salt b", "👩‍💻 and é"]
QUICK = Retries(attempts=3, first_delay=0.001, max_delay=0.01)


class FakeServer(httpx.AsyncBaseTransport):
    """What all kinds have in common; `complete` makes the completion of prompt ids and a grammar."""

    owner = ""

    def __init__(
        self, complete: Callable[[list[int], str], Completion], tokenize: Callable[[str], list[int]], end_token_id: int
    ) -> None:
        self.complete = complete
        self.tokenize = tokenize
        self.end_token_id = end_token_id
        self.window = 4096
        self.models = [MODEL]
        self.before: Callable[[httpx.Request], httpx.Response | None] = lambda request: None
        self.asked: list[tuple[str, Any]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = await request.aread()
        body = json.loads(content) if content else None
        self.asked.append((request.url.path, body))
        if (answer := self.before(request)) is not None:
            return answer
        answer = self._answer(request.url.path, body)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def _answer(self, path: str, body: Any) -> Any:
        if path == "/v1/models":
            return {"object": "list", "data": [self.card(name) for name in self.models]}
        return self.answer(path, body)

    def card(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "owned_by": self.owner, "max_model_len": self.window}

    def answer(self, path: str, body: Any) -> Any:
        raise NotImplementedError


class FakeVLLM(FakeServer):
    """Answers as vLLM 0.32 does."""

    owner = "vllm"

    def answer(self, path: str, body: Any) -> Any:
        if path == "/version":
            return {"version": "0.32.0"}
        if path == "/tokenize":
            return {"tokens": self.tokenize(body["prompt"]), "max_model_len": self.window}
        if path != "/v1/completions":
            return httpx.Response(404, json={"detail": "Not Found"})
        completion = self.complete(body["prompt"], body["structured_outputs"]["grammar"])
        return {"choices": [choice(completion, self.end_token_id)]}


def choice(completion: Completion, end_token_id: int) -> dict[str, Any]:
    """A completion as vLLM spells it: masked tokens at -9999, the end token among the ids."""
    ids = [step.token_id for step in completion.steps]
    values = [step.constrained_logprob for step in completion.steps]
    tops = [
        {f"token_id:{i}": p for i, p in step.alternatives or ((step.token_id, 0.0), (0, -9999.0))}
        for step in completion.steps
    ]
    if completion.finish_reason == "stop":
        ids, values, tops = (
            [*ids, end_token_id],
            [*values, 0.0],
            [*tops, {f"token_id:{end_token_id}": 0.0, "token_id:0": -9999.0}],
        )
    return {
        "text": "",
        "token_ids": ids,
        "finish_reason": "stop" if completion.finish_reason == "stop" else "length",
        "logprobs": {"token_logprobs": values, "top_logprobs": tops},
    }
