"""What the engines give the demo: the same job with them, and in padded batches and a token at a time.

    python benchmarks/demo.py --threads 1
    python benchmarks/demo.py --threads 1 --plain

Prints what the demo prints, and the processor seconds of the whole.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import torch

from extractft.cli import main as command_line
from extractft.decoding import TransformersEngine
from extractft.training import plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plain", action="store_true", help="padded training, and decoding by the reference engine")
    parser.add_argument("--threads", type=int, default=2)
    args, others = parser.parse_known_args()
    torch.set_num_threads(args.threads)
    if args.plain:
        plan.packed_engine = lambda *_, **__: "asked for"  # type: ignore[assignment]
        never: Any = property(lambda _: False)
        TransformersEngine.packed = never  # type: ignore[method-assign]
    wall, start = time.perf_counter(), time.process_time()
    try:
        sys.argv = ["extractft", "demo", *others]
        command_line()
    finally:
        name = "plain" if args.plain else "engines"
        print(f"{name}: {time.process_time() - start:.0f} processor seconds, {time.perf_counter() - wall:.0f} s")


if __name__ == "__main__":
    main()
