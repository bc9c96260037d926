"""Inference with a transformers model: engine, scheduler, model runner, cache and sampler.

Knows tensors, token ids and grammars by their protocol; knows no schema and no text.
"""

from __future__ import annotations

from extractft.inference.engine import TransformersEngine
from extractft.inference.reference_engine import ReferenceEngine

__all__ = ["ReferenceEngine", "TransformersEngine"]
