"""Extract without training: the base model, the same prompt, the same guarantee that the record is valid.

    python examples/receipts/untrained.py --base-model Qwen/Qwen3-0.6B

The values are as good as the base model is; the baseline to compare a trained extractor with.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from extractft import Extractor

from schema import Receipt

RECEIPT = """\
NORTHWIND STATIONERS
12 May 2026   Till 3
2 x Notebook A5        9.80
1 x Fountain pen      24.50
TOTAL                 34.30
VISA ending 0000      34.30
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Show the prompt, then the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-model", default="smollm2-135m", help="default: %(default)s")
    args = parser.parse_args(argv)

    extractor = Extractor.from_base(Receipt, base_model=args.base_model)
    print(extractor.render(RECEIPT))
    print(extractor.extract(RECEIPT).model_dump_json(indent=2))


if __name__ == "__main__":
    main()
