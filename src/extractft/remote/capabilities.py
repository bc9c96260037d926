"""Capabilities of a server: those of every engine, by the name that the dialects use."""

from extractft.completion import EngineCapabilities as Capabilities

__all__ = ["Capabilities"]
