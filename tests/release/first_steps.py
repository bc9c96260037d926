"""What somebody does first with an installed extractft: run by `test_installed_wheel.py` in an environment of its own.

Trains a model of some thousand weights for a step, so that every library that the package requires is used once.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from pydantic import BaseModel, Field

import extractft
from extractft import Extractor, TrainingConfig
from extractft.testing import byte_tokenizer, scripted_extractor, tiny_model


class Order(BaseModel):
    """An order."""

    item: str = Field(max_length=12)
    count: int | None = Field(default=None, ge=0, le=99)


ROWS = [("two teas", Order(item="teas", count=2)), ("rice", Order(item="rice")), ("salt", Order(item="salt"))]


def main(folder: Path) -> None:
    """Import every public module, answer from a script, then train, save, load and extract with a tiny model."""
    assert Path(extractft.__file__).is_relative_to(sys.prefix), extractft.__file__
    for name in sorted(extractft._SUBMODULES):
        importlib.import_module(f"extractft.{name}")

    assert scripted_extractor(Order, dict(ROWS)).extract("two teas") == Order(item="teas", count=2)

    base = folder / "base"
    tiny_model().save_pretrained(base)
    byte_tokenizer().save_pretrained(base)
    config = TrainingConfig(num_train_epochs=1, eval_fraction=0, generation={"max_new_tokens": 64})
    extractor = Extractor.fit(Order, ROWS, base_model=base, config=config)
    extractor.save_pretrained(folder / "orders")
    loaded = Extractor.from_pretrained(folder / "orders", schema=Order)
    assert isinstance(loaded.inspect("two teas").output, Order)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
