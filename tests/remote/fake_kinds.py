"""Servers of the other kinds, by the protocols that are read in their sources, each in front of an engine of ours."""

from __future__ import annotations

import math
from typing import Any

import httpx
from fake_vllm import FakeServer

from extractft.completion import Completion, TokenStep


class FakeSGLang(FakeServer):
    """Answers as SGLang 0.5.23 does: masked log-probabilities are null, log-probabilities are triples."""

    owner = "sglang"
    backend: str | None = "llguidance"

    def answer(self, path: str, body: Any) -> Any:
        if path == "/server_info":
            return {"version": "0.5.23", "grammar_backend": self.backend}
        if path == "/tokenize":
            return {"tokens": self.tokenize(body["prompt"]), "count": 1, "max_model_len": self.window}
        if path != "/generate":
            return httpx.Response(404, json={"detail": "Not Found"})
        completion = self.complete(body["input_ids"], body["sampling_params"]["ebnf"])
        steps = _with_end(completion, self.end_token_id)
        stopped = completion.finish_reason == "stop"
        about = {
            "finish_reason": {"type": "stop", "matched": self.end_token_id} if stopped else {"type": "length"},
            "output_token_logprobs": [[step.constrained_logprob, step.token_id, None] for step in steps],
            "output_top_logprobs": [_triples(step) for step in steps],
        }
        return {"text": "", "output_ids": [step.token_id for step in steps], "meta_info": about}


class FakeLlamaCpp(FakeServer):
    """Answers as llama.cpp does: raw log-probabilities, none for a token after which a character is incomplete."""

    owner = "llamacpp"
    llguidance = True
    other_end = 0
    spelling: Any = None
    write: Any = None

    def answer(self, path: str, body: Any) -> Any:
        if path == "/props":
            return {"build_info": "b7000", "default_generation_settings": {"n_ctx": self.window}}
        if path == "/tokenize":
            return {"tokens": self.tokenize(body["content"])}
        if path != "/completion":
            return httpx.Response(404, json={"error": {"message": "not found"}})
        grammar = body.get("grammar", "")
        if grammar.startswith("%llguidance") and not self.llguidance:
            message = "Failed to initialize samplers: failed to parse grammar: llguidance is not enabled"
            return httpx.Response(400, json={"error": {"code": 400, "message": message}})
        if body["prompt"] == "a":
            return {"content": "a", "stop_type": "limit"}
        if not grammar:
            content, reason = self.write(body["prompt"], body["json_schema"])
            return {"content": content, "tokens": [1, 2], "stop_type": reason, "truncated": False}
        completion = self.complete(body["prompt"], grammar)
        stopped = completion.finish_reason == "stop"
        ids = [*completion.token_ids, *([self.other_end] if stopped else [])]
        return {
            "content": "",
            "tokens": ids,
            "stop_type": "eos" if stopped else "limit",
            "truncated": False,
            "completion_probabilities": list(self._probabilities(completion)),
        }

    def _probabilities(self, completion: Completion) -> Any:
        spelled = b""
        for step in completion.steps:
            spelled += self.spelling(step.token_id)
            try:
                spelled.decode()
            except UnicodeDecodeError:
                continue
            yield {"id": step.token_id, "logprob": step.logprob, "top_logprobs": _raw(step)}
        yield {"id": self.other_end, "logprob": -1.0, "top_logprobs": []}


class FakeOpenAI(FakeServer):
    """Answers as servers do that know OpenAI's chat completions and nothing else; `write` makes the content."""

    owner = "library"
    write: Any = None

    def card(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "owned_by": self.owner}

    def answer(self, path: str, body: Any) -> Any:
        if path != "/v1/chat/completions":
            return httpx.Response(404, json={"error": {"message": "not found"}})
        text, schema = body["messages"][1]["content"], body["response_format"]["json_schema"]["schema"]
        content, reason = self.write(text, schema)
        return {"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": reason}]}


def _with_end(completion: Completion, end_token_id: int) -> list[TokenStep]:
    if completion.finish_reason != "stop":
        return list(completion.steps)
    return [*completion.steps, TokenStep(end_token_id, None, 0.0, forced=True)]


def _triples(step: TokenStep) -> list[list[Any]]:
    """As JSON spells them: minus infinity is null."""
    if step.alternatives:
        return [[p, i, None] for i, p in step.alternatives]
    return [[0.0, step.token_id, None], [None, (step.token_id + 1) % 100, None]]


def _raw(step: TokenStep) -> list[dict[str, Any]]:
    """The most probable tokens before the grammar: those that it allows, and one that it does not."""
    assert step.logprob is not None
    shift = step.logprob - step.constrained_logprob
    allowed = {i: p + shift for i, p in step.alternatives or ((step.token_id, 0.0),)}
    rest = 1.0 - math.fsum(map(math.exp, allowed.values()))
    found = [{"id": i, "token": "", "logprob": p} for i, p in allowed.items()]
    if rest > 1e-6:
        refused = next(i for i in range(len(allowed) + 1) if i not in allowed)
        found.append({"id": refused, "token": "", "logprob": math.log(rest)})
    return found
