"""Capabilities of a server: those of every engine, by the name that the dialects use."""

from typing import Literal

from extractft.completion import EngineCapabilities as Capabilities

__all__ = ["Capabilities", "Constraint"]

Constraint = Literal["llguidance", "gbnf", "json_schema", "none"]
"""A language that a server can be held to while it decodes."""
