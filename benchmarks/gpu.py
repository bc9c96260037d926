"""vLLM on a GPU against the engine of this package on it: records a second, and are they the same records?

    export EXTRACTFT_VLLM=/path/to/another/environment/bin/vllm      # if vllm is not on the PATH
    python benchmarks/gpu.py
    python benchmarks/gpu.py --base-model Qwen/Qwen3-0.6B --in-flight 1 32 256
    python benchmarks/gpu.py --extractor DIR --set snips_restaurant

One script of ten minutes. Without `--extractor` a model is tuned on the GPU for a minute, on the generated complaints,
which need no data. Then, in each type of weights, the same texts are decoded here and by a vLLM server that is started
for it, at each number of requests in flight, with all text fields verbatim that are copies; and the records, token ids,
log-probabilities and confidences of both are held together. What does not fit into `--minutes` any more is left out and
said to be. The result is written after each step, so that what was measured stays if the machine is taken away.

Without a GPU it runs as well, to try the script: `--device cpu --texts 8 --warm-up 2 --in-flight 1 4 --dtypes float32
--train 8`, with the variables that benchmarks/servers.py names.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

os.environ["HF_HUB_OFFLINE"] = "1"

from lib import gpu_bench
from lib.command_line import make_parser, run_command


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    gpu_bench.add_arguments(parser)
    parser.set_defaults(run=gpu_bench.run)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run the measurement."""
    run_command(build_parser(), argv)


if __name__ == "__main__":
    main()
