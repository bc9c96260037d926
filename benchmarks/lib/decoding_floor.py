"""Time of decoding by operation, against the least that reading and multiplying the weights would take.

    python benchmarks/decoding.py floor snips_restaurant --extractor DIR

The machine's rates are measured first: bytes a second of a product with four rows, which is bound by reading, and
operations a second of one with 512. Each pass has to read all weights of the layers once, the head's if it decides,
and to multiply them by its tokens, those of the head by the tokens that decide; the floor is the longer of both, summed
over the passes. Then the operations are timed by a profiler, which makes them slower, so that only their shares are
shown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from extractft.completion import GenerationRequest
from extractft.inference import TransformersEngine
from extractft.inference.cpu.prepacked_linears import _pack, _product
from extractft.inference.model_runner import ModelRunner, Segment
from lib.command_line import add_threads_argument
from lib.decoding_bench import Bench
from lib.decoding_speed import prepare
from lib.tasks import add_set_argument

LEAST_WEIGHTS = 1 << 16
"""Layers of fewer weights are no part of the floor."""
GROUPS = {
    "products": ("mkldnn::_linear_pointwise", "onednn::qlinear", "aten::addmm", "aten::mm", "aten::linear"),
    "attention": ("aten::bmm", "aten::_softmax", "aten::masked_fill_", "aten::_index_put_impl_", "aten::cat"),
    "choosing tokens": ("aten::exp_", "aten::argmax", "aten::topk", "aten::index", "aten::logsumexp", "aten::amax"),
}
"""Operations by their purpose; a few of the second and third also occur elsewhere."""


class Counted(ModelRunner):
    """Takes note of the tokens of each pass, and of how many of them decide."""

    def __init__(self, model: Any, prefix_ids: Sequence[int]) -> None:
        super().__init__(model, prefix_ids)
        self.passes: list[tuple[int, int]] = []

    def forward(self, segments: Sequence[Segment]) -> torch.Tensor:
        self.passes.append(
            (sum(len(segment.token_ids) for segment in segments), sum(segment.num_logits for segment in segments))
        )
        return super().forward(segments)


def rates(layers: Sequence[nn.Linear]) -> tuple[float, float]:
    """Bytes and operations a second, on the model's own layers."""
    weights = [_pack(layer.weight.detach()) for layer in layers]
    size, seconds = sum(layer.weight.nbytes for layer in layers), []
    for rows in (4, 512):
        inputs = {layer.in_features: torch.ones(rows, layer.in_features) for layer in layers}
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            for layer, packed in zip(layers, weights, strict=True):
                _product(inputs[layer.in_features], packed, None)
            best = min(best, time.process_time() - start)
        seconds.append(best)
    return size / seconds[0], 2 * 512 * size / 4 / seconds[1]


def decode_singly(engine: TransformersEngine, requests: Sequence[GenerationRequest]) -> float:
    """Processor seconds of all, one by one."""
    start = time.process_time()
    for request in requests:
        list(engine.generate([request], batch_size=1))
    return time.process_time() - start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the extractor and its texts."""
    add_set_argument(parser)
    parser.add_argument("--extractor", required=True, help="directory that save_pretrained wrote")
    parser.add_argument("--limit", type=int, default=24)
    parser.add_argument("--warm-up", type=int, default=100)
    add_threads_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Measure and print."""
    others = {"shape": None, "layers": None, "texts": None, "max_new_tokens": 512, "lookup": 10}
    bench, requests = prepare(argparse.Namespace(**vars(args), **others))
    report(bench, requests[: args.limit], requests[args.limit :])


def report(bench: Bench, requests: Sequence[GenerationRequest], warm_up: Sequence[GenerationRequest]) -> None:
    """Print all."""
    head = bench.model.get_output_embeddings()
    layers = [
        m for m in bench.model.modules() if type(m) is nn.Linear and m is not head and m.weight.numel() > LEAST_WEIGHTS
    ]
    bandwidth, rate = rates(layers)
    engine = bench.engine()
    counted = Counted(bench.model, bench.runner.chat.prefix_ids)
    engine._scheduler.model = counted
    list(engine.generate(warm_up, batch_size=16))
    counted.passes.clear()
    drafting = engine.statistics.draft_seconds
    seconds = decode_singly(engine, requests)
    drafting = engine.statistics.draft_seconds - drafting
    body, top = sum(layer.weight.numel() for layer in layers), head.weight.numel()
    floor = sum(
        max(4 * (body + top * bool(wanted)) / bandwidth, 2 * (body * n + top * wanted) / rate)
        for n, wanted in counted.passes
    )
    count = len(requests)
    print(f"{bandwidth / 1e9:.1f} GB/s, {rate / 1e9:.0f} GFLOP/s; {(body + top) / 1e6:.0f} million weights")
    print(f"{len(counted.passes) / count:.1f} passes, {sum(n for n, _ in counted.passes) / count:.1f} tokens a record")
    print(f"{1000 * seconds / count:.0f} ms a record, {1000 * floor / count:.0f} at least: {seconds / floor:.2f} times")
    print(f"masks and drafts {100 * drafting / seconds:.1f} %")
    with torch.profiler.profile() as profile:
        decode_singly(engine, requests[: max(1, count // 3)])
    times = {event.key: event.self_cpu_time_total for event in profile.key_averages()}
    total = sum(times.values())
    for name, prefixes in GROUPS.items():
        part = sum(spent for key, spent in times.items() if key.startswith(prefixes))
        print(f"{name} {100 * part / total:.0f} % of the operations' time")
    listed = sum(spent for key, spent in times.items() if any(key.startswith(p) for p in GROUPS.values()))
    print(f"all other operations {100 * (1 - listed / total):.0f} %")
