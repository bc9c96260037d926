"""Train an extractor of complaints, try it on one text, keep it.

python examples/complaints/generate.py --train 200 --test 60 --out outputs/complaints
python examples/complaints/train.py --train outputs/complaints/train.jsonl --out outputs/complaint-extractor
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from extractft import Extractor, TrainingConfig
from extractft.demo.complaints import Complaint
from extractft.demo.run import SAMPLE


def main(argv: Sequence[str] | None = None) -> None:
    """Fit, extract, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="rows to train on, JSONL")
    parser.add_argument("--out", required=True, help="folder for the extractor")
    parser.add_argument(
        "--base-model", default="smollm2-135m", help="for example Qwen/Qwen3-0.6B (default: %(default)s)"
    )
    parser.add_argument("--epochs", type=float, default=None, help="passes over the rows (default: the library's)")
    args = parser.parse_args(argv)
    config = TrainingConfig() if args.epochs is None else TrainingConfig(num_train_epochs=args.epochs)

    extractor = Extractor.fit(Complaint, args.train, base_model=args.base_model, config=config)
    complaint = extractor.extract(SAMPLE)
    extractor.save_pretrained(args.out)

    print(complaint.model_dump_json(indent=2))


if __name__ == "__main__":
    main()
