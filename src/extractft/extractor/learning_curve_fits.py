"""Would more examples help? Fits on more and more of the rows and scores each time on the same held-out ones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from extractft.config import TrainingConfig
from extractft.errors import ConfigError, DatasetError
from extractft.evaluation import LearningPoint
from extractft.extractor.argument_checks import DEFAULT_BASE_MODEL, settled_schema
from extractft.extractor.data_split import DataSplit
from extractft.extractor.extractor import Extractor
from extractft.schema import Schema

__all__ = ["learning_curve"]


def learning_curve(
    schema: Any,
    data: Any,
    *,
    fractions: Sequence[float] = (0.25, 0.5, 1.0),
    base_model: str | Path = DEFAULT_BASE_MODEL,
    eval_data: Any = None,
    config: TrainingConfig | None = None,
    columns: Mapping[str, str] | None = None,
) -> Iterator[LearningPoint]:
    """Fit on a share of the rows, then on more of them, and yield a score each time.

    The smaller sets are parts of the larger ones. The best checkpoint is chosen on the rows that are scored, so that
    all points are a little too good, alike; the question is what the next row brings, not how good the model is.

    Args:
        schema: The schema of the records.
        data: Examples, as `Extractor.fit` takes them.
        fractions: Shares of the training rows, each above 0 and at most 1.
        base_model: As for `Extractor.fit`.
        eval_data: Examples to score on; a share of `data` is held out if there are none.
        config: Training settings.
        columns: Column mapping, ours to theirs.

    Raises:
        ConfigError: A fraction is not above 0 and at most 1.
        DatasetError: Rows are bad, or none could be held out.
    """
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions):
        raise ConfigError(f"expected fractions above 0 and at most 1, found {tuple(fractions)}")
    spec, config = settled_schema(schema, TrainingConfig() if config is None else config)
    rows = DataSplit.load(data, eval_data, spec, columns, config)
    if not rows.held_out:
        raise DatasetError("expected held-out rows to score on, found none").hint(
            "Give eval_data, or set TrainingConfig.eval_fraction above 0."
        )
    shuffled = random.Random(config.seed).sample(list(rows.train), len(rows.train))
    return _points(spec, shuffled, rows.held_out, sorted(set(fractions)), base_model, config)


def _points(
    schema: Schema[Any],
    train: Sequence[Any],
    held_out: Sequence[Any],
    fractions: Sequence[float],
    base_model: str | Path,
    config: TrainingConfig,
) -> Iterator[LearningPoint]:
    for fraction in fractions:
        part = train[: max(1, round(fraction * len(train)))]
        extractor: Extractor[Any] = Extractor.fit(
            schema, part, base_model=base_model, eval_data=held_out, config=config
        )
        report = extractor.evaluate(held_out)
        yield LearningPoint(
            fraction=fraction, rows=len(part), field_f1=report.field_f1, interval=report.field_f1_interval
        )
