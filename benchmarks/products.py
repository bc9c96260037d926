"""What a product of a weight matrix with a few rows costs, in four ways, and what a verbatim grammar costs.

    python benchmarks/products.py

The ways are the usual one, the factors changed over, the usual one on weights laid out beforehand, and 8 bits, the
rounding of the rows included. Best processor milliseconds of several turns, one thread, over layers that do not fit
into the caches together; then the compile time of a grammar for texts of growing length.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Annotated

import torch
from torch import nn
from torch.nn import functional as F

from extractft import Schema, Verbatim
from extractft.decoding import GrammarCompiler
from extractft.decoding.eight_bit import EightBit
from extractft.decoding.prepacked import Prepacked
from extractft.testing import byte_tokenizer


def best(work: Callable[[], object], turns: int = 6) -> float:
    """Least processor milliseconds of several turns."""
    found = float("inf")
    for _ in range(turns):
        start = time.process_time()
        work()
        found = min(found, 1e3 * (time.process_time() - start))
    return found


def main() -> None:
    torch.set_num_threads(1)
    for size, out, layers in ((576, 1536, 60), (1024, 3072, 20)):
        net = nn.ModuleList(nn.Linear(size, out, bias=False) for _ in range(layers)).requires_grad_(False)
        weights, small, prepacked = [layer.weight for layer in net], EightBit(net), Prepacked(net)
        for count in (1, 2, 3, 4, 6, 8, 12, 16, 32, 128):
            rows = torch.randn(count, size)
            usual = best(lambda r=rows, w=weights: [F.linear(r, weight) for weight in w])
            other = best(lambda r=rows, w=weights: [torch.mm(weight, r.t()) for weight in w])
            with torch.no_grad(), prepacked.installed():
                laid_out = best(lambda r=rows, n=net: [layer(r) for layer in n])
            with torch.no_grad(), small.installed():
                rounded = best(lambda r=rows, n=net: [layer(r) for layer in n])
            print(
                f"{layers} x {out} x {size}, {count:3} rows: x @ W.T {usual:6.1f} ms, W @ x.T {other:6.1f} ms, "
                f"laid out beforehand {laid_out:6.1f} ms, 8 bits {rounded:6.1f} ms"
            )
    tokenizer = byte_tokenizer()
    compiler = GrammarCompiler(tokenizer, vocab_size=len(tokenizer), end_token_id=258)
    schema = Schema.of(dict[str, Annotated[str, Verbatim()]])
    for length in (300, 2000, 20_000, 50_000):
        text = "".join(random.Random(length).choices([chr(code) for code in range(0x4E00, 0x5600)], k=length))
        print(
            f"verbatim grammar, {length} characters: {best(lambda t=text: compiler.compile(schema, text=t), 3):.1f} ms"
        )


if __name__ == "__main__":
    main()
