"""A saved extractor, loaded as the options of a command say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import extractft
from extractft.cli.inputs import load_schema

__all__ = ["load_extractor"]


def load_extractor(directory: Path, schema: str | None, base_model: str | None) -> Any:
    """Load a saved extractor, with the class if one is given."""
    record_type = load_schema(schema, "--schema") if schema else None
    return extractft.Extractor.from_pretrained(directory, schema=record_type, base_model=base_model)
