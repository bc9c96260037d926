"""The parts of an extractor that an export is made from, and its weights merged. Knows tensors, no files' layout."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from extractft.artifact import Manifest, save_artifact
from extractft.errors import ArtifactError, ConfigError
from extractft.export.export_checks import WEIGHT_TYPES
from extractft.modeling import BaseModelRef, load_adapter, load_model, merge_adapter
from extractft.prompt import ChatRenderer

__all__ = ["DTYPES", "ExportSource"]

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in WEIGHT_TYPES}


@dataclass(frozen=True, slots=True)
class ExportSource:
    """An extractor as an export sees it.

    Attributes:
        ref: Where the base weights came from.
        model: The model in memory, of which nothing but the adapter is used.
        tokenizer: Its tokenizer.
        chat: Renders its prompts.
        manifest: Describes it.
        max_window: Longest prompt and answer together, in tokens.
    """

    ref: BaseModelRef
    model: Any
    tokenizer: Any
    chat: ChatRenderer
    manifest: Manifest
    max_window: int

    @property
    def dtype(self) -> str:
        """Type of the weights in memory."""
        return str(next(self.model.parameters()).dtype).removeprefix("torch.")

    def merged(self, dtype: str) -> PreTrainedModel:
        """The base weights with the adapter added, in a model of its own.

        Base and adapter are added in float32, whatever the extractor runs in, and rounded once.

        Args:
            dtype: Type of the weights; see `DTYPES`.

        Raises:
            ConfigError: There is no such type.
            ArtifactError: The base model is not there any more, or a weight overflows in `dtype`.
        """
        if dtype not in DTYPES:
            raise ConfigError(f"Expected a dtype among {', '.join(DTYPES)}, found {dtype!r}.")
        self.manifest.require_base_model(self.ref)
        model = load_model(self.ref, device="cpu", dtype="float32")
        if isinstance(self.model, PeftModel):
            model = self._with_adapter(model)
        model.to(dtype=DTYPES[dtype])  # type: ignore[call-arg]
        overflowing = [name for name, weight in model.named_parameters() if not bool(torch.isfinite(weight).all())]
        if overflowing:
            raise ArtifactError(
                f"Expected weights that fit into {dtype}, found {len(overflowing)} that do not, such as "
                f"{overflowing[0]}."
            ).hint("Export in bfloat16, which holds as large numbers as float32.")
        return model

    def _with_adapter(self, base: PreTrainedModel) -> PreTrainedModel:
        """The adapter, written and read back as a saved extractor's is, added to `base`."""
        with tempfile.TemporaryDirectory(prefix="extractft-export-") as scratch:
            directory = Path(scratch) / "adapter"
            self.save_adapter(directory)
            adapted = load_adapter(base, directory, config=self.manifest.config.lora)
        merge_adapter(adapted)
        unload: Callable[[], PreTrainedModel] = adapted.unload
        return unload()

    def save_adapter(self, directory: Path) -> None:
        """Write the extractor as `save_pretrained` does.

        Raises:
            ArtifactError: It cannot be written.
        """
        save_artifact(directory, manifest=self.manifest, model=self.model, tokenizer=self.tokenizer)
