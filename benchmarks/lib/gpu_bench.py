"""The engine here and vLLM on one device, one after the other: rates at several numbers of requests, and equality."""

from __future__ import annotations

import argparse
import gc
import os
import platform
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from extractft import Extractor, TrainingConfig
from extractft.completion import Completion, Engine, GenerationRequest, capabilities_of
from extractft.remote import require_program
from lib.record_trust import rewritten_fields, verbatim
from lib.results import add_results_arguments, environment, write_json
from lib.server_bench import ServerBench
from lib.server_equality import Comparison
from lib.server_throughput import timed
from lib.tasks import HELP, add_data_argument, load_task

DTYPES = ("float32", "bfloat16", "float16")
LEAST_SECONDS = 45.0
"""A step is begun if this much of the time is left, or as much as the longest so far took."""
LEAVE_ROOM = "--gpu-memory-utilization 0.8"
"""For the context that this process keeps on the GPU."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--set", default="complaints", help=f"{HELP} (default: %(default)s)")
    parser.add_argument("--extractor", type=Path, default=None, help="directory that save_pretrained wrote")
    parser.add_argument("--base-model", default="smollm2-135m", help="to tune without --extractor (%(default)s)")
    parser.add_argument("--train", type=int, default=200, help="rows to tune on (default: %(default)s)")
    parser.add_argument("--texts", type=int, default=256, help="texts that are measured (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=16, help="texts that each way sees first")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["float32", "bfloat16"])
    parser.add_argument("--device", default="cuda", help="of the engine here; vLLM takes what it was built for")
    parser.add_argument("--minutes", type=float, default=10.0, help="time for all of it (default: %(default)s)")
    parser.add_argument("--name", default=None, help="of the result; the GPU's if not given")
    add_data_argument(parser)
    add_results_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Tune if there is nothing to load, measure both ways in each type, compare, print and keep."""
    require_program("vllm")
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("expected a GPU that torch sees, found none; --device cpu tries the script without one")
    if args.device.startswith("cuda"):
        os.environ.setdefault("EXTRACTFT_VLLM_ARGS", LEAVE_ROOM)
    bench = GpuBench(args, load_task(args.set, args.train, args.warm_up + args.texts, data=args.data))
    bench.prepare()
    for dtype in args.dtypes:
        ours = bench.here(dtype)
        bench.there(dtype, ours)
    bench.finish()


@dataclass(slots=True)
class GpuBench:
    """One run: its clock, its texts and what was measured so far."""

    args: argparse.Namespace
    task: Any
    started: float = field(default_factory=time.monotonic)
    longest: float = LEAST_SECONDS
    extractor: Path = Path()
    schema: Any = None
    requests: list[GenerationRequest] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)

    def prepare(self) -> None:
        """Find or tune the extractor, and choose its verbatim fields."""
        args = self.args
        self.extractor = args.extractor or args.cache / "gpu" / f"{self.task.name}-{Path(args.base_model).name}"
        if args.extractor is None and not self.extractor.is_dir():
            config = TrainingConfig(num_train_epochs=2, eval_fraction=0, device=args.device)
            tuned: Any = Extractor.fit(self.task.schema, self.task.train, base_model=args.base_model, config=config)
            tuned.save_pretrained(self.extractor)
            del tuned
        loaded: Any = Extractor.from_pretrained(self.extractor, schema=self.task.schema, device="cpu")
        free = rewritten_fields(self.task, loaded.schema)
        self.schema = verbatim(loaded.schema, free=free)
        self.result = about(args, self.task.name, free) | {"rows": [], "equality": {}, "left_out": []}
        self._say("ready")

    def here(self, dtype: str) -> list[Completion]:
        """The engine of this package, which leaves the device before vLLM comes; completions of its last pass."""
        if not self._has_time(f"ours, {dtype}"):
            return []
        loaded: Any = Extractor.from_pretrained(
            self.extractor, schema=self.schema, device=self.args.device, dtype=dtype
        )
        self.requests = [loaded._pipeline.request(text) for text, _ in self.task.test]
        reason = getattr(loaded.engine, "fallback_reason", None)
        if reason:
            self.result.setdefault("fallback", {})[dtype] = reason
        completions = self._measured(loaded.engine, "ours", dtype)
        del loaded
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return completions

    def there(self, dtype: str, ours: list[Completion]) -> None:
        """A vLLM server on the same weights, and its records against ours."""
        if not ours or not self._has_time(f"vllm, {dtype}"):
            return
        begun = time.monotonic()
        served: Any = Extractor.from_pretrained(self.extractor, schema=self.schema, engine="vllm", dtype=dtype)
        try:
            self.result["vllm"] = capabilities_of(served.engine).version
            self._say(f"vllm, {dtype}: started and checked in {time.monotonic() - begun:.0f} s")
            theirs = self._measured(served.engine, "vllm", dtype)
            texts = [text for text, _ in self.task.test]
            compared = Comparison(ServerBench(self.args, served, texts, self.requests, []))
            for one, other in zip(ours, theirs, strict=False):
                compared.add(one, other)
            self.result["equality"][dtype] = compared.summary()
        finally:
            served.engine.close()
        self._keep()

    def finish(self) -> None:
        """Print the tables."""
        print(f"\n{self.result['device']}, {self.result['set']}, vLLM {self.result.get('vllm')}")
        for row in self.result["rows"]:
            print(
                f"{row['way']:5} {row['dtype']:9} {row['in_flight']:4} in flight "
                f"{row['records_per_second']:9.2f} records/s {row['tokens_per_second']:9.0f} tokens/s"
            )
        for dtype, summary in self.result["equality"].items():
            print(f"{dtype}: {summary['records_equal']} records equal, {summary['token_ids_equal']} token ids equal")
            print(f"  widest gap of log-probabilities {summary['widest_logprob_gap']:.2g}")
            print(f"  widest gap of confidences {summary['widest_confidence_gap']:.2g}")
        for step in self.result["left_out"]:
            print(f"left out, no time: {step}")
        self._keep()

    def _measured(self, engine: Engine, way: str, dtype: str) -> list[Completion]:
        """Rates at each number in flight; the completions of the last pass that was made."""
        list(engine.generate(self.requests[: self.args.warm_up], batch_size=max(self.args.in_flight)))
        requests, completions = self.requests[self.args.warm_up :], []
        for number in sorted(self.args.in_flight, reverse=True):  # the shortest first
            if not self._has_time(f"{way}, {dtype}, {number} in flight", needed=bool(completions)):
                continue
            begun = time.monotonic()
            row, found = timed(engine, requests, number, way)
            self.longest = max(self.longest, time.monotonic() - begun)
            completions = completions or found
            self.result["rows"].append(row | {"dtype": dtype})
            self._keep()
        return completions

    def _has_time(self, step: str, *, needed: bool = True) -> bool:
        """True if a step can be begun; the first pass of a way is made in any case."""
        left = 60 * self.args.minutes - (time.monotonic() - self.started)
        if not needed or left > self.longest:
            return True
        self.result["left_out"].append(step)
        return False

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self.started:5.0f} s  {what}", flush=True)

    def _keep(self) -> None:
        name = self.args.name or self.result["device"].lower().replace(" ", "-")
        write_json(self.args.results / f"gpu-{name}.json", self.result)


def about(args: argparse.Namespace, name: str, free: list[str]) -> dict[str, Any]:
    """Device, date and settings, without paths."""
    on_gpu = args.device.startswith("cuda")
    return {
        "device": torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine(),
        "memory": torch.cuda.get_device_properties(0).total_memory if on_gpu else None,
        "set": name,
        "base_model": Path(args.base_model).name if args.extractor is None else None,
        "texts": args.texts,
        "not_verbatim": free,
        "vllm_args": os.environ.get("EXTRACTFT_VLLM_ARGS"),
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "environment": environment(),
    }
