"""Names of a room that are loaded when they are asked for, so that who reads a manifest need not wait for torch.

Knows no other module of the package.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make a package's `__getattr__` and `__dir__` (PEP 562).

    What type checkers and readers see stands under `TYPE_CHECKING` in the package itself.

    A public name must not be that of a submodule: Python puts the submodule in its place as soon as it is imported.

    Args:
        package: `__name__` of the package.
        modules: The submodule of each public name.

    Returns:
        The two functions, to be bound in the package's `__init__`.
    """

    def get_attribute(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{modules[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return get_attribute, list_names
