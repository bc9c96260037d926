"""A program that is started as `vllm serve MODEL ... --port PORT` is, and serves that directory's weights.

For what a managed server has to prove: that the weights which were exported for it give the records of the extractor.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from loopback_vllm import fake_for, served
from pydantic import BaseModel

from extractft import Extractor


class Anything(BaseModel):
    """Any schema: grammars come with the requests."""

    value: str


def main() -> None:
    model, port = sys.argv[2], int(sys.argv[sys.argv.index("--port") + 1])
    window = int(sys.argv[sys.argv.index("--max-model-len") + 1])
    fake = fake_for(Extractor.from_base(Anything, base_model=model, device="cpu", dtype="float32"))
    fake.window = window
    answer = fake._answer

    def with_health(path: str, body: Any) -> Any:
        return {} if path == "/health" else answer(path, body)

    fake._answer = with_health  # type: ignore[method-assign]
    with served(fake, port):
        threading.Event().wait()


if __name__ == "__main__":
    main()
