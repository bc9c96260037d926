"""Cost of a training step: the plain loop and the packed engine in turns, on the same model and the same rows.

    python benchmarks/training.py --base-model smollm2-135m --prefix 190 --turns 3
    python benchmarks/training.py --base-model qwen3-0.6b-shape --prefix 70 190 800 --threads 2 --json results.json
    python benchmarks/training.py --arms packed --profile       # which operations the time goes to

The plain loop pads batches of 4, accumulates 4 of them, computes all logits through `model(labels=...)` and, as in the
notebook that most people copy, recomputes activations; the same without recomputation is a second arm. Ours is what
`Extractor.fit` would run: the plan and the engine of `extractft.training`. An arm's turn is one optimizer step over the
same 16 rows: gradients, clipping, AdamW.

Rows are random ids: a shared prefix, a text and an answer, the lengths of the last two spread evenly between half and
one and a half of `--text` and `--answer`, in every batch of 4 alike. So `--plain-batches 1` gives the plain loop's time
per example in a quarter of the time. `qwen3-0.6b-shape` is a randomly initialised model of exactly that shape.

Peak memory is the most that the process held during a step above what it held before: activations, logits, gradients
and workspaces, but neither weights nor optimizer states. On Linux it is the kernel's high-water mark, reset before the
step, after freed memory has been given back. The floor is the time that the counted multiplications and additions would
take at the rate of one large matrix product, measured between the turns.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils import logging as transformers_logging

from extractft import TrainingConfig
from extractft.training import Features, TrainingRow
from extractft.training.memory import RECOMPUTE, recomputing
from extractft.training.packed_batches import PackedEngine
from extractft.training.padded_batches import pad_rows
from extractft.training.plan import make_plan, step_with_retry
from extractft.training.step_engine import label_count, unwrapped
from extractft.training.training_rows import shared_prefix_length
from lib.base_models import QWEN3_SHAPE, build_model
from lib.command_line import add_threads_argument, make_parser
from lib.process_memory import PeakMemory

BATCH, ACCUMULATION = 4, 4
ARMS = ("plain-recomputing", "plain", "packed")
Step = Callable[[Sequence[TrainingRow]], float]


@dataclass(frozen=True, slots=True)
class Turn:
    """One optimizer step of one arm."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    loss: float


@dataclass(frozen=True, slots=True)
class Operations:
    """Multiplications and additions of one optimizer step, forward, backward and recomputed; two for each product."""

    linears: float
    attention: float
    head: float

    @property
    def total(self) -> float:
        return self.linears + self.attention + self.head


def make_rows(prefix: int, text: int, answer: int, *, vocabulary: int, count: int = BATCH * ACCUMULATION) -> Features:
    """Rows of random ids behind one prefix; the same for the same numbers."""
    generator = random.Random(prefix)
    limit = min(vocabulary, 32000)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(generator.randrange(limit) for _ in range(length))

    def spread(length: int) -> list[int]:
        lengths = [max(1, round(length / 2 + length * (i + 0.5) / count)) for i in range(count)]
        batches = [lengths[i :: count // BATCH] for i in range(count // BATCH)]
        return [length for batch in batches for length in generator.sample(batch, BATCH)]

    shared = ids(prefix)
    pairs = zip(spread(text), spread(answer), strict=True)
    return Features(tuple(TrainingRow(shared + ids(n), ids(m)) for n, m in pairs), prefix)


def plain_step(model: Any, rows: Sequence[TrainingRow]) -> float:
    """Gradients the plain way; `num_items_in_batch` weights the loss by tokens over the step, as the trainer does."""
    device, total = next(model.parameters()).device, 0.0
    labels = torch.tensor(label_count(rows), device=device)
    for start in range(0, len(rows), BATCH):
        input_ids, mask, targets = pad_rows(rows[start : start + BATCH], device=device)
        loss = model(input_ids=input_ids, attention_mask=mask, labels=targets, num_items_in_batch=labels).loss
        loss.backward()
        total += float(loss.detach())
    return total


class Bench:
    """One model and its optimizer, on which the arms take turns."""

    def __init__(
        self, model: Any, config: TrainingConfig, features: Features, *, plain_batches: int, recompute: Any
    ) -> None:
        self.model = model
        self.rows = features.rows
        self.plain_rows = features.rows[: BATCH * plain_batches]
        self.optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5, fused=True)
        plan = make_plan(model, features, config)
        self.engine, self.recomputes = plan.engine, recompute or plan.recompute

    def rows_of(self, name: str) -> Sequence[TrainingRow]:
        """The rows of an arm's turn."""
        return self.rows if name == "packed" else self.plain_rows

    @contextmanager
    def arm(self, name: str) -> Iterator[Step]:
        """The model set up for an arm, and what computes its gradients."""
        if name == "packed":
            with recomputing(self.model, self.recomputes):
                yield lambda rows: float(
                    step_with_retry(self.engine, self.model, rows, labels=label_count(rows)).detach()
                )
        else:
            with recomputing(self.model, "layers" if name == "plain-recomputing" else "nothing"):
                yield lambda rows: plain_step(self.model, rows)

    def turn(self, name: str) -> Turn:
        """One optimizer step, measured."""
        self.model.train()
        with self.arm(name) as step:
            self.optimizer.zero_grad(set_to_none=True)
            peak = PeakMemory(next(self.model.parameters()).device)
            start, cpu = time.perf_counter(), time.process_time()
            loss = step(self.rows_of(name))
            nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.grad is not None], 1.0)
            self.optimizer.step()
            peak.wait()
            seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
        self.optimizer.zero_grad(set_to_none=True)
        print(f"{name}: {seconds:.1f} s, loss {loss:.4f}", file=sys.stderr)
        return Turn(seconds, cpu_seconds, peak.bytes(), loss)

    def disagreement(self) -> dict[str, float]:
        """Relative distances of loss and gradient between the plain loop and ours, dropout off."""
        self.model.eval()
        losses, gradients = [], []
        for name in ("plain", "packed"):
            with self.arm(name) as step:
                losses.append(step(self.plain_rows))
                gradients.append({n: p.grad.clone() for n, p in self.model.named_parameters() if p.grad is not None})
                self.optimizer.zero_grad(set_to_none=True)
        expected, found = gradients
        worst = max(float((found[n] - expected[n]).norm() / expected[n].norm()) for n in expected)
        return {"loss": abs(losses[1] - losses[0]) / losses[0], "worst_gradient": worst}

    def operations(self, name: str) -> Operations:
        """Operations of an arm; padding counts where it is computed, keys behind a query do not."""
        rows = self.rows_of(name)
        if name == "packed" and isinstance(self.engine, PackedEngine):
            shared = shared_prefix_length(rows)
            own = [len(row) - 1 - shared for row in rows]
            tokens, logits = shared + sum(own), label_count(rows)
            pairs = _causal(shared) + sum(shared * n + _causal(n) for n in own)
            return count_operations(self.model, tokens, pairs, logits, recomputing=self.recomputes == "layers")
        widths = [max(len(row) for row in rows[i : i + BATCH]) for i in range(0, len(rows), BATCH)]
        tokens = BATCH * sum(widths)
        pairs = BATCH * sum(_causal(width) for width in widths)
        return count_operations(self.model, tokens, pairs, tokens, recomputing=name == "plain-recomputing")


def _causal(length: int) -> int:
    return length * (length + 1) // 2


def count_operations(model: Any, tokens: int, pairs: int, logits: int, *, recomputing: bool) -> Operations:
    """Two operations a product and weight, once forward, once backward (frozen weights need no gradient), once more
    where recomputed; adapters twice backward; attention's backward pass is two and a half times its forward pass.
    """
    base = unwrapped(model)
    config = base.config.get_text_config()
    head = base.get_output_embeddings()
    weights = {"frozen": 0, "adapter": 0}
    for name, module in base.get_decoder().named_modules():
        if type(module) is nn.Linear:
            weights["adapter" if "lora_" in name else "frozen"] += module.weight.numel()
    forwards = 2 if recomputing else 1
    heads = config.num_attention_heads * (
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )
    return Operations(
        linears=2.0 * tokens * (weights["frozen"] * (forwards + 1) + weights["adapter"] * (forwards + 2)),
        attention=4.0 * config.num_hidden_layers * heads * pairs * (forwards + 2.5),
        head=2.0 * logits * head.weight.numel() * 2,
    )


def matmul_rate(model: Any, *, seconds: float = 0.5) -> float:
    """Operations a second in a product of 1024 tokens with the model's widest layer, the best of many."""
    parameter, config = next(model.parameters()), unwrapped(model).config.get_text_config()
    left = torch.randn(1024, config.hidden_size, device=parameter.device, dtype=parameter.dtype)
    right = torch.randn(config.intermediate_size, config.hidden_size, device=parameter.device, dtype=parameter.dtype)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        nn.functional.linear(left, right)
        if parameter.device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2.0 * left.shape[0] * right.numel() / best


def measure(arguments: argparse.Namespace, model: Any, config: TrainingConfig, prefix: int) -> dict[str, Any]:
    """All arms in turns on rows with one prefix length."""
    vocabulary = unwrapped(model).config.get_text_config().vocab_size
    features = make_rows(prefix, arguments.text, arguments.answer, vocabulary=vocabulary)
    bench = Bench(model, config, features, plain_batches=arguments.plain_batches, recompute=arguments.recompute)
    if arguments.pass_tokens and isinstance(bench.engine, PackedEngine):
        bench.engine.max_tokens = features.prefix_length + arguments.pass_tokens
    rates = [matmul_rate(model)]
    turns: dict[str, list[Turn]] = {name: [] for name in arguments.arms}
    if arguments.warmup:
        for name in arguments.arms:
            bench.turn(name)
    for _ in range(arguments.turns):
        for name in arguments.arms:
            turns[name].append(bench.turn(name))
            rates.append(matmul_rate(model))
    cell = {
        "prefix": prefix,
        "tokens_per_row": statistics.mean(features.lengths) - prefix,
        "labels_per_row": features.label_count / len(features),
        "engine": bench.engine.name,
        "recomputes": bench.recomputes,
        "operations_per_second": max(rates),
        "arms": {name: summary(bench, name, turns[name], max(rates)) for name in arguments.arms},
    }
    if arguments.check:
        cell["disagreement"] = bench.disagreement()
    if arguments.profile:
        profile(bench, arguments.arms[-1])
    return cell


def summary(bench: Bench, name: str, turns: list[Turn], rate: float) -> dict[str, Any]:
    """Medians over the turns and the distance to the floor."""
    operations = bench.operations(name)
    seconds, examples = statistics.median(turn.seconds for turn in turns), len(bench.rows_of(name))
    return {
        "seconds_per_example": seconds / examples,
        "cpu_seconds_per_example": statistics.median(turn.cpu_seconds for turn in turns) / examples,
        "peak_bytes": statistics.median(turn.peak_bytes for turn in turns),
        "operations": asdict(operations) | {"total": operations.total},
        "floor_seconds_per_example": operations.total / rate / examples,
        "times_the_floor": seconds * rate / operations.total,
        "turns": [asdict(turn) for turn in turns],
    }


def profile(bench: Bench, name: str) -> None:
    """Print the operations of one step, the most expensive first."""
    bench.model.train()
    with bench.arm(name) as step, torch.profiler.profile() as result:
        step(bench.rows_of(name))
    bench.optimizer.zero_grad(set_to_none=True)
    by = "self_cuda_time_total" if next(bench.model.parameters()).device.type == "cuda" else "self_cpu_time_total"
    print(result.key_averages().table(sort_by=by, row_limit=25, max_name_column_width=60))


def show(cell: dict[str, Any]) -> None:
    """The cell as lines; ratios are the first arm's over each arm's."""
    print(
        f"\nprefix {cell['prefix']}, rows of {cell['tokens_per_row']:.0f} tokens, "
        f"{cell['labels_per_row']:.0f} of them labels, "
        f"{cell['operations_per_second'] / 1e9:.1f} GFLOP/s, "
        f"{cell['engine']} engine recomputing {cell['recomputes']}"
    )
    first = next(iter(cell["arms"].values()))
    for name, arm in cell["arms"].items():
        operations = arm["operations"]
        print(
            f"  {name:19} {arm['seconds_per_example']:7.3f} s/example "
            f"({arm['cpu_seconds_per_example']:.3f} processor)  "
            f"peak {arm['peak_bytes'] / 2**20:6.0f} MiB  "
            f"{first['seconds_per_example'] / arm['seconds_per_example']:5.2f}x faster  "
            f"{first['peak_bytes'] / max(1, arm['peak_bytes']):5.2f}x smaller  "
            f"GFLOP: linears {operations['linears'] / 1e9:.0f} attention {operations['attention'] / 1e9:.0f} "
            f"head {operations['head'] / 1e9:.0f}  {arm['times_the_floor']:.2f} times the floor"
        )
    if "disagreement" in cell:
        found = cell["disagreement"]
        print(f"  relative distance of loss {found['loss']:.1e}, of the worst gradient {found['worst_gradient']:.1e}")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all arms for each length of the prefix."""
    arguments = build_parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    warnings.simplefilter("ignore", FutureWarning)
    config = TrainingConfig.notebook().replace(device=arguments.device, dtype=arguments.dtype)
    model = build_model(arguments.base_model, layers=arguments.layers, config=config)
    dtype = next(model.parameters()).dtype
    print(f"{arguments.base_model}, {arguments.threads} thread(s), {dtype}, LoRA r={config.lora.r}")
    cells = []
    for prefix in arguments.prefix:
        cells.append(measure(arguments, model, config, prefix))
        show(cells[-1])
        if arguments.json:
            settings = {name: value for name, value in vars(arguments).items() if name != "json"}
            values = {"settings": settings, "torch": torch.__version__, "cells": cells}
            arguments.json.write_text(json.dumps(values, indent=1), encoding="utf-8")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--base-model", default="smollm2-135m", help=f"a base model, or {QWEN3_SHAPE}")
    parser.add_argument("--layers", type=int, help=f"fewer layers for {QWEN3_SHAPE}, for a quick look")
    parser.add_argument("--prefix", type=int, nargs="+", default=[70, 190, 800], help="tokens of the shared prefix")
    parser.add_argument("--text", type=int, default=60, help="mean tokens of a text")
    parser.add_argument("--answer", type=int, default=40, help="mean tokens of an answer, the labels")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--turns", type=int, default=3, help="measured optimizer steps of each arm")
    parser.add_argument("--plain-batches", type=int, default=ACCUMULATION, help="batches of 4 that the plain loop runs")
    parser.add_argument("--no-warmup", dest="warmup", action="store_false", help="measure the first step as well")
    add_threads_argument(parser, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--recompute", choices=RECOMPUTE, help="what ours recomputes, instead of what the plan says")
    parser.add_argument(
        "--pass-tokens", type=int, help="tokens of rows in one pass of ours, instead of what the plan says"
    )
    parser.add_argument("--check", action="store_true", help="compare losses and gradients as well, dropout off")
    parser.add_argument("--profile", action="store_true", help="print the operations of the last arm's step")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    return parser


if __name__ == "__main__":
    main()
