"""A program that serves a saved extractor of `Echo`s, each of which takes a while, without torch.

`slow_service.py DIRECTORY SECONDS LOADING [NAME=VALUE...]`: seconds that a record takes, and that loading takes; -1 for
what cannot be loaded.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from extractft import Extractor
from extractft.completion import Completion, GenerationRequest, TokenStep
from extractft.serving import ServerConfig, create_app, log_to, run_server


class SlowEngine:
    """Answers with the text itself."""

    chat: Any

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def generate(self, requests: Iterable[GenerationRequest], *, batch_size: int | None = None) -> Iterator[Completion]:
        for request in requests:
            time.sleep(self._seconds)
            record = {"question": self.chat.decode(request.draft_ids)}
            ids = self.chat.completion_ids(json.dumps(record, ensure_ascii=False, separators=(",", ":")))
            yield Completion(tuple(TokenStep(token_id, -0.01, -0.01) for token_id in ids[:-1]), "stop")


def main() -> None:
    directory, seconds, loading, *settings = sys.argv[1:]
    values = {name: json.loads(value) for name, _, value in (setting.partition("=") for setting in settings)}
    config = ServerConfig.checked(**{"port": 0, **values})

    def load() -> Any:
        time.sleep(max(0, float(loading)))
        if float(loading) < 0:
            raise SystemError("it cannot be loaded")
        engine = SlowEngine(float(seconds))
        extractor: Extractor[Any] = Extractor.from_pretrained(directory, engine=engine)
        engine.chat = extractor._pipeline.chat
        return create_app({"echo": extractor}, config)

    with log_to():
        ended_well = run_server(load, config)
    raise SystemExit(not ended_well)


if __name__ == "__main__":
    main()
