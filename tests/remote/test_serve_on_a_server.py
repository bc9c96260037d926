"""`extractft serve --engine`: the service in front of a server that has the model gives the records given here."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import httpx
from loopback_vllm import fake_for, served
from pydantic import BaseModel, Field

from extractft import Extractor

SECONDS = 240


class Crate(BaseModel):
    """A crate, short enough for a model that never ends a string by itself."""

    item: str = Field(max_length=6)
    kind: Literal["a", "b"] = "a"


def test_records_come_through_and_a_signal_ends_it(tiny_base: Path, tmp_path: Path) -> None:
    here = Extractor.from_base(Crate, base_model=str(tiny_base))
    here.save_pretrained(tmp_path / "crates")
    log = tmp_path / "log"
    with served(fake_for(here)) as address, log.open("w", encoding="utf-8") as stream:
        arguments = [str(tmp_path / "crates"), "--port", "0", "--engine", f"vllm+{address}"]
        process = subprocess.Popen([sys.executable, "-m", "extractft", "serve", *arguments], stderr=stream)
        try:
            deadline = time.monotonic() + SECONDS
            while " ready " not in log.read_text("utf-8"):
                assert process.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < deadline
                time.sleep(0.05)
            url = re.findall(r"listening address=(\S+)", log.read_text("utf-8"))[0]
            with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
                assert client.get("/v1/models").json()["models"][0]["engine"] == "vllm"
                for text in ("tea for b", "one 茶"):
                    answer = client.post("/v1/crates/extract", json={"text": text, "confidence": True})
                    assert answer.json()["record"] == here.extract(text).model_dump()
                    assert 0 <= answer.json()["confidence"]["record"] <= 1
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
            process.wait()
