"""A program that is started as `vllm serve MODEL ... --port PORT` is, and serves that directory's weights.

For what a managed server has to prove: that the weights which were exported for it give the records of the extractor.
With `--enable-lora` it loads adapters while it runs, as vLLM does with VLLM_ALLOW_RUNTIME_LORA_UPDATING.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import httpx
from fake_vllm import FakeVLLM
from loopback_vllm import fake_for, served
from pydantic import BaseModel

from extractft import Extractor

NAME = "extractft"


class Anything(BaseModel):
    """Any schema: grammars come with the requests."""

    value: str


class Server:
    """vLLM's HTTP over one base model and the adapters that it was told to load."""

    def __init__(self, model: str, window: int, *, lora: bool) -> None:
        self.window = window
        self.takes_adapters = lora and os.environ.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING") == "True"
        self.asked: list[Any] = []
        base = Extractor.from_base(Anything, base_model=model, device="cpu", dtype="float32")
        self.models: dict[str, FakeVLLM] = {NAME: fake_for(base)}

    def _answer(self, path: str, body: Any) -> Any:
        if path == "/health":
            return {}
        if path == "/v1/models":
            return {"data": [self.card(name) for name in self.models]}
        if path == "/v1/load_lora_adapter":
            return self.load(body["lora_name"], body["lora_path"])
        return self.models[body["model"] if body else NAME]._answer(path, body)

    def card(self, name: str) -> dict[str, Any]:
        if name == NAME:
            return {"id": name, "owned_by": "vllm", "max_model_len": self.window}
        return {"id": name, "owned_by": "vllm", "max_model_len": None, "parent": NAME}

    def load(self, name: str, path: str) -> Any:
        if not self.takes_adapters:
            return httpx.Response(404, json={"detail": "Not Found"})
        if name in self.models or "refused" in path:
            return httpx.Response(400, json={"error": {"message": "already loaded, or refused"}})
        self.models[name] = fake_for(Extractor.from_pretrained(path, device="cpu", dtype="float32"))
        return httpx.Response(200, text=f"Success: LoRA adapter '{name}' added successfully.")


def main() -> None:
    model, port = sys.argv[2], int(sys.argv[sys.argv.index("--port") + 1])
    window = int(sys.argv[sys.argv.index("--max-model-len") + 1])
    with served(Server(model, window, lora="--enable-lora" in sys.argv), port):  # type: ignore[arg-type]
        threading.Event().wait()


if __name__ == "__main__":
    main()
