"""Time of a product of a weight matrix with a few rows, in four ways, and of compiling a verbatim grammar.

    python benchmarks/decoding.py products

The ways are the usual one, the factors changed over, the usual one on weights laid out beforehand, and 8 bits, the
rounding of the rows included. Best processor milliseconds of several turns, one thread, over layers that do not fit
into the caches together; then the compile time of a grammar for texts of growing length.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from torch import nn
from torch.nn import functional as F

from extractft import Schema, Verbatim
from extractft.constraints import GrammarCompiler
from extractft.inference.cpu.int8_linears import Int8Linears
from extractft.inference.cpu.prepacked_linears import PrepackedLinears
from extractft.testing import byte_tokenizer
from lib.command_line import add_threads_argument


def best(work: Callable[[], object], turns: int = 6) -> float:
    """Least processor milliseconds of several turns."""
    found = float("inf")
    for _ in range(turns):
        start = time.process_time()
        work()
        found = min(found, 1e3 * (time.process_time() - start))
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sizes; the defaults are those of SmolLM2-135M and Qwen3-0.6B."""
    add_threads_argument(parser)
    parser.add_argument("--layers", type=int, nargs=2, default=(60, 20), help="layers of 1536 x 576 and of 3072 x 1024")
    parser.add_argument("--rows", type=int, nargs="+", default=(1, 2, 3, 4, 6, 8, 12, 16, 32, 128))
    parser.add_argument("--lengths", type=int, nargs="+", default=(300, 2000, 20_000, 50_000), help="of texts")


def run(args: argparse.Namespace) -> None:
    """Measure and print both."""
    for (size, out), layers in zip(((576, 1536), (1024, 3072)), args.layers, strict=True):
        if layers:
            time_products(size, out, layers, args.rows)
    time_grammars(args.lengths)


def time_products(size: int, out: int, layers: int, row_counts: Sequence[int]) -> None:
    """Print milliseconds of all layers, in each way."""
    net = nn.ModuleList(nn.Linear(size, out, bias=False) for _ in range(layers)).requires_grad_(False)
    weights, small, prepacked = [layer.weight for layer in net], Int8Linears(net), PrepackedLinears(net)
    for count in row_counts:
        rows = torch.randn(count, size)
        usual = best(lambda r=rows: [F.linear(r, weight) for weight in weights])
        other = best(lambda r=rows: [torch.mm(weight, r.t()) for weight in weights])
        with torch.no_grad(), prepacked.installed():
            laid_out = best(lambda r=rows: [layer(r) for layer in net])
        with torch.no_grad(), small.installed():
            rounded = best(lambda r=rows: [layer(r) for layer in net])
        print(
            f"{layers} x {out} x {size}, {count:3} rows: x @ W.T {usual:6.1f} ms, W @ x.T {other:6.1f} ms, "
            f"laid out beforehand {laid_out:6.1f} ms, 8 bits {rounded:6.1f} ms"
        )


def time_grammars(lengths: Sequence[int]) -> None:
    """Print milliseconds of compiling the grammar of a verbatim field."""
    tokenizer = byte_tokenizer()
    compiler = GrammarCompiler(tokenizer, vocab_size=len(tokenizer), end_token_id=258)
    schema = Schema.of(dict[str, Annotated[str, Verbatim()]])
    letters = [chr(code) for code in range(0x4E00, 0x5600)]
    for length in lengths:
        text = "".join(random.Random(length).choices(letters, k=length))
        milliseconds = best(lambda t=text: compiler.compile(schema, text=t), 3)
        print(f"verbatim grammar, {length} characters: {milliseconds:.1f} ms")
