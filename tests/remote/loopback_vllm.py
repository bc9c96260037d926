"""A vLLM server on loopback with a model of this process behind it, for clients in other processes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from fake_vllm import FakeVLLM
from llguidance import LLMatcher

from extractft.completion import Completion, GenerationRequest
from extractft.constraints.grammar import CompiledGrammar

HEADER = "%llguidance {}\n"
BUDGET = 60


class Decoder:
    """Completes prompts under grammars in Lark with the engine of an extractor; counts how many it has at once."""

    def __init__(self, extractor: Any, budget: int = BUDGET) -> None:
        self.pipeline = extractor._pipeline
        self.budget = budget

    def __call__(self, prompt: list[int], lark: str) -> Completion:
        assert lark.startswith(HEADER)
        source = lark.removeprefix(HEADER)
        grammar = CompiledGrammar(
            LLMatcher.grammar_from_lark(source), self.pipeline.grammar._vocabulary, "probe", lark=source, json_schema={}
        )
        return next(iter(self.pipeline.engine.generate([GenerationRequest(tuple(prompt), grammar, self.budget)])))


def fake_for(extractor: Any) -> FakeVLLM:
    """The HTTP of a server with an extractor's model."""
    chat = extractor._pipeline.chat
    backend = extractor._own_base().tokenizer.backend_tokenizer

    def tokenize(text: str) -> list[int]:
        return list(backend.encode(text, add_special_tokens=False).ids)

    return FakeVLLM(Decoder(extractor), tokenize, chat.end_token_id)


@contextmanager
def served(fake: FakeVLLM, port: int = 0) -> Iterator[str]:
    """The address of a server that answers as `fake` does, for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _reply(self, body: Any) -> None:
            fake.asked.append((self.path, body))
            answer = fake._answer(self.path, body)
            content = answer.content if isinstance(answer, httpx.Response) else json.dumps(answer).encode()
            self.send_response(answer.status_code if isinstance(answer, httpx.Response) else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._reply(None)

        def do_POST(self) -> None:
            self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
