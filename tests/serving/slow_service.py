"""A program that serves an extractor whose every record takes a while: `slow_service.py SECONDS LOADING [NAME=VALUE...]`."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from pydantic import BaseModel

from extractft import Extractor, GenerationConfig
from extractft.serving import ServerConfig, create_app, log_to, run_server
from extractft.testing import ScriptedEngine, scripted_extractor


class Echo(BaseModel):
    """The text itself."""

    question: str


def main() -> None:
    seconds, loading, *settings = sys.argv[1:]
    values = {name: json.loads(value) for name, _, value in (setting.partition("=") for setting in settings)}

    def load() -> Any:
        time.sleep(float(loading))
        if loading == "0.01":
            raise SystemError("it cannot be loaded")
        double = scripted_extractor(Echo, {})
        chat = double._pipeline.chat

        def script(text: str) -> str:
            time.sleep(float(seconds))
            return double.schema.canonical_json(Echo(question=text))

        grammar, generation = double._pipeline.grammar, GenerationConfig(batch_size=4)
        slow = Extractor(double.schema, chat, ScriptedEngine(script, chat), grammar, generation=generation)
        return create_app({"echo": slow}, ServerConfig.checked(port=0, **values))

    log_to()
    raise SystemExit(not run_server(load, ServerConfig.checked(port=0, **values)))


if __name__ == "__main__":
    main()
