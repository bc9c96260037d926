"""An extractor with verbatim fields, its requests, and servers started on its weights: what both measurements need."""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from extractft import Extractor
from extractft.completion import Engine, GenerationRequest
from extractft.extractor.client import server_probe
from extractft.remote import start_server
from lib.command_line import add_threads_argument
from lib.peer_export import export
from lib.record_trust import rewritten_fields, verbatim
from lib.results import add_results_arguments
from lib.tasks import TRAIN, add_set_argument, load_task

KINDS = ("vllm", "llama.cpp")


def add_server_arguments(parser: argparse.ArgumentParser, *, limit: int) -> None:
    """Add the set, the extractor and the servers."""
    add_set_argument(parser)
    add_results_arguments(parser)
    add_threads_argument(parser)
    parser.add_argument("--extractor", required=True, type=Path, help="directory that save_pretrained wrote")
    parser.add_argument("--servers", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--limit", type=int, default=limit, help="texts that are measured (default: %(default)s)")
    parser.add_argument("--window", type=int, default=4096, help="tokens of a server's window (default: %(default)s)")
    parser.add_argument("--name", default=None, help="of the result; the set's if not given")


@dataclass(slots=True)
class ServerBench:
    """The extractor here with all text fields verbatim that are copies, and its requests."""

    args: argparse.Namespace
    extractor: Extractor[Any]
    texts: list[str]
    requests: list[GenerationRequest]
    verbatim: list[str]

    @classmethod
    def of(cls, args: argparse.Namespace) -> ServerBench:
        task = load_task(args.set, TRAIN, args.limit, data=args.data)
        loaded: Extractor[Any] = Extractor.from_pretrained(args.extractor, schema=task.schema, device="cpu")
        free = rewritten_fields(task, loaded.schema)
        schema = verbatim(loaded.schema, free=free)
        extractor: Extractor[Any] = Extractor.from_pretrained(
            args.extractor, schema=schema, device="cpu", dtype="float32"
        )
        texts = [text for text, _ in task.test]
        return cls(args, extractor, texts, [extractor._pipeline.request(text) for text in texts], free)

    @property
    def engine(self) -> Engine:
        """The engine here."""
        return self.extractor._pipeline.engine

    def spelled(self, ids: Sequence[int]) -> str:
        return self.extractor._pipeline.chat.decode(ids)

    @contextmanager
    def server(self, kind: str, slots: int) -> Iterator[Any]:
        """An engine on a server with the extractor's weights."""
        exported = export(self.args.extractor)
        model = exported.transformers if kind == "vllm" else exported.gguf("f32")
        pipeline = self.extractor._pipeline
        probe = server_probe(
            self.extractor._own_base().tokenizer, pipeline.chat, pipeline.grammar, self.extractor.schema
        )
        start = time.perf_counter()
        engine = start_server(kind, model, probe, window=self.args.window, slots=slots)
        seconds = time.perf_counter() - start
        print(f"{kind} {engine.capabilities.version}: ready and checked after {seconds:.0f} s", flush=True)
        try:
            yield engine
        finally:
            engine.close()

    def about(self) -> dict[str, Any]:
        """Machine, date and settings, without paths."""
        return {
            "set": Path(self.args.set).name,
            "texts": len(self.texts),
            "not_verbatim": self.verbatim,
            "threads": self.args.threads,
            "machine": platform.processor() or platform.machine(),
            "processors": os.cpu_count(),
            "date": datetime.now(UTC).date().isoformat(),
        }
