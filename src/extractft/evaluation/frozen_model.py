"""The base of everything here that is stored: immutable, strict, plain JSON. Knows nothing else."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["FrozenModel"]


class FrozenModel(BaseModel):
    """Unknown names are refused; the docstrings below the fields describe them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
