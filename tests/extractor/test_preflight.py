"""Arguments that cannot work are refused before compute is spent, and weights that cannot be used after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from extractft import Extractor, LoRAConfig, TrainingConfig
from extractft.errors import ArtifactNotFoundError, ConfigError, TrainingError


class Person(BaseModel):
    """A person."""

    name: str


ROWS = [("Ann", {"name": "Ann"}), ("Bob", {"name": "Bob"})]


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_a_base_model_without_a_name_is_not_the_default(name: str, tmp_path: Path) -> None:
    for make in (
        lambda: Extractor.fit(Person, ROWS, base_model=name),
        lambda: Extractor.from_base(Person, base_model=name),
    ):
        with pytest.raises(ArtifactNotFoundError) as caught:
            make()
        assert "Qwen/Qwen3-0.6B" not in str(caught.value)


@pytest.mark.parametrize("path", [3, None, "", "a\0b", b"\0"])
def test_what_is_no_path_of_an_extractor(path: Any) -> None:
    with pytest.raises(ConfigError, match="Expected path to be the path of a directory"):
        Extractor.from_pretrained(path)


@pytest.mark.parametrize("path", [3, "", "a\0b"])
def test_what_is_no_path_of_a_run(path: Any, tiny_base: Path) -> None:
    with pytest.raises(ConfigError, match="Expected output_dir to be the path of a directory"):
        Extractor.fit(Person, ROWS, base_model=str(tiny_base), output_dir=path)


def test_an_adapter_needs_layers() -> None:
    with pytest.raises(ValidationError):
        LoRAConfig(target_modules=())


def test_weights_that_the_last_step_spoilt_are_no_result(tiny_base: Path) -> None:
    settings = {"eval_fraction": 0, "learning_rate": 1e30, "per_device_train_batch_size": 2, "warmup_steps": 0}
    config = TrainingConfig(num_train_epochs=1, **settings)
    with pytest.raises(TrainingError, match="finite loss"):
        Extractor.fit(Person, ROWS, base_model=str(tiny_base), config=config)
