"""A shard is decoded as in a new process, whatever its process has decoded before: drafts begin anew with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from bulk_doubles import output_of
from pydantic import BaseModel, Field

from extractft import Extractor, bulk

SETTINGS: dict[str, Any] = {"shard_rows": 8, "explain": ("confidence",), "format": "jsonl"}


class Order(BaseModel):
    """An order, which the tiny model soon ends."""

    item: Annotated[str, Field(max_length=6)]
    urgent: bool


@pytest.fixture(scope="module")
def extractor(tiny_base: Path) -> Extractor[Order]:
    return Extractor.from_base(Order, base_model=str(tiny_base))


def passes_of(extractor: Extractor[Order], work: Callable[[], Any]) -> int:
    """Passes through the model that some work takes."""
    before = extractor.engine.statistics.passes  # type: ignore[attr-defined]
    work()
    return extractor.engine.statistics.passes - before  # type: ignore[attr-defined, no-any-return]


def test_what_was_decoded_before_leaves_no_trace(
    extractor: Extractor[Order], jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    texts = [f"tea number {number}, please" for number in range(24)]
    path = jsonl({"text": text} for text in texts)
    runs = ["first", "second"]
    passes = [
        passes_of(extractor, lambda name=name: bulk.run(extractor, path, tmp_path / name, **SETTINGS)) for name in runs
    ]
    assert passes[0] == passes[1]
    assert output_of(tmp_path / "first") == output_of(tmp_path / "second")
    assert passes_of(extractor, lambda: list(extractor.extract_many(texts))) < passes[0], (
        "extract_many goes on learning"
    )


def test_an_interrupted_run_takes_the_same_passes(
    extractor: Extractor[Order], jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    path = jsonl({"text": f"rice number {number}"} for number in range(16))
    whole = passes_of(extractor, lambda: bulk.run(extractor, path, tmp_path / "whole", **SETTINGS))

    def stop(progress: Any) -> None:
        if progress.done == 9:
            raise KeyboardInterrupt

    def first_shard() -> None:
        with pytest.raises(KeyboardInterrupt):
            bulk.run(extractor, path, tmp_path / "stopped", progress=stop, **SETTINGS)

    begun = passes_of(extractor, first_shard)
    rest = passes_of(extractor, lambda: bulk.run(extractor, path, tmp_path / "stopped", **SETTINGS))
    assert 0 < rest < whole < begun + rest
    assert output_of(tmp_path / "whole") == output_of(tmp_path / "stopped")
