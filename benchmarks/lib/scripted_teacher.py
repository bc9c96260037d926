"""A teacher that knows the gold records and errs in a known share of the texts, behind a real HTTP server.

It answers OpenAI's chat completions. Of the texts that it errs on, half get the same wrong record every time, which no
agreement shows; the other half get a wrong record in two answers of three.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["ScriptedTeacher", "digest_of"]


def digest_of(*parts: object) -> int:
    """A number that depends on the parts alone."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).digest()[:8], "big")


class ScriptedTeacher:
    """Answers with gold records, wrong in a share of the texts.

    Args:
        gold: The records by their texts.
        wrong: Share of the texts that it errs on.

    Attributes:
        errs_on: The texts that it errs on.
        asked: Requests so far.
    """

    def __init__(self, gold: Mapping[str, Any], *, wrong: float = 0.1) -> None:
        self.gold = gold
        self.errs_on = {text for text in gold if digest_of("wrong", text) % 10_000 < 10_000 * wrong}
        self.asked = 0
        self._lock = threading.Lock()
        self._others = sorted(gold)

    def answer(self, text: str) -> Any:
        """A record for a text."""
        with self._lock:
            self.asked += 1
            number = self.asked
        if text not in self.errs_on:
            return self.gold[text]
        steady = digest_of("steady", text) % 2 == 0
        chance = 0 if steady else number
        if not steady and digest_of("right", text, number) % 3 == 0:
            return self.gold[text]
        return self._spoiled(text, chance)

    def _spoiled(self, text: str, chance: int) -> Any:
        """The gold record with one value of another row's, or one value too few."""
        record = dict(self.gold[text])
        names = sorted(name for name, value in record.items() if value is not None)
        if not names:
            return record
        name = names[digest_of("field", text, chance) % len(names)]
        other = self.gold[self._others[digest_of("other", text, chance) % len(self._others)]].get(name)
        record[name] = None if other == record[name] else other
        return record

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The address of a server of its own, on loopback, for as long as the block lasts."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        teacher = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send({"object": "list", "data": [{"id": "teacher", "object": "model"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked = body["messages"][-1]["content"]
                known = max((text for text in teacher.gold if text in asked), key=len)
                message = {"role": "assistant", "content": json.dumps(teacher.answer(known), ensure_ascii=False)}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                self._send({"object": "chat.completion", "model": "teacher", "choices": [choice]})

            def _send(self, value: Any) -> None:
                content = json.dumps(value, ensure_ascii=False).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Say nothing: a text may be in the address."""

        return Handler
