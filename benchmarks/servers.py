"""Servers in place of the engine of this package: the same records, at what rate, and if one is killed in mid-run?

    python benchmarks/peers/make_environment.py vllm llamacpp     # prints EXTRACTFT_VLLM and EXTRACTFT_LLAMACPP
    python benchmarks/servers.py equality snips_restaurant --extractor DIR --limit 200
    python benchmarks/servers.py throughput snips_restaurant --extractor DIR --in-flight 1 8 32
    python benchmarks/servers.py kill snips_restaurant --extractor DIR --server llama.cpp

`DIR` is what `quality.py run` left in `benchmarks/.cache/quality/runs/NAME/extractor`. Its weights are merged and
exported once; each server is started on them as a user would have it started, one after the other. On a machine without
a GPU, vLLM needs: VLLM_CPU_KVCACHE_SPACE=1 EXTRACTFT_VLLM_ARGS="--dtype float32 --enforce-eager
--gpu-memory-utilization 0.2". llama.cpp computes as exactly as the others with EXTRACTFT_LLAMACPP_ARGS="--cache-type-k
f32 --cache-type-v f32 --flash-attn off".
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

os.environ["HF_HUB_OFFLINE"] = "1"

from lib import server_equality, server_kill, server_throughput
from lib.command_line import add_command, make_parser, run_command


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="equality|throughput|kill")
    add_command(commands, "equality", server_equality)
    add_command(commands, "throughput", server_throughput)
    add_command(commands, "kill", server_kill)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run one measurement."""
    run_command(build_parser(), argv)


if __name__ == "__main__":
    main()
