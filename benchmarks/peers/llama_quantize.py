"""llama.cpp's quantiser from the library `cyllama`, by the arguments of llama.cpp's own program.

    llama-quantize WIDE.gguf NARROW.gguf Q4_K_M

Run by the `llama-quantize` that make_environment.py puts into the environment `quantize`. Knows the types that
extractft exports; llama.cpp's own program knows many more.
"""

from __future__ import annotations

import argparse
import sys

from cyllama.llama import llama_cpp

TYPES = {"Q4_0": 2, "Q8_0": 7, "Q2_K": 10, "Q3_K_M": 12, "Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18}
"""Numbers of `llama_ftype`, which GGUF files keep."""


def main() -> int:
    """Quantise one file; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wide", metavar="WIDE.gguf")
    parser.add_argument("narrow", metavar="NARROW.gguf")
    parser.add_argument("type", type=str.upper, choices=sorted(TYPES))
    args = parser.parse_args()
    params = llama_cpp.LlamaModelQuantizeParams()
    params.ftype = TYPES[args.type]
    llama_cpp.model_quantize(args.wide, args.narrow, params)
    return 0


if __name__ == "__main__":
    sys.exit(main())
