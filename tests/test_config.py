"""Settings: what is refused, in which words, and what a copy keeps."""

import pytest
from pydantic import ValidationError

from extractft import Extractor, LoRAConfig, PromptConfig, TrainingConfig
from extractft.config import GenerationConfig
from extractft.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lerning_rate", "learning_rate"),
        ("lr", "learning_rate"),
        ("epochs", "num_train_epochs"),
        ("num_epochs", "num_train_epochs"),
        ("batch_size", "per_device_train_batch_size"),
        ("r", "lora=LoRAConfig(r=...)"),
        ("max_new_tokens", "generation=GenerationConfig(max_new_tokens=...)"),
        ("omit_default", "prompt=PromptConfig(omit_defaults=...)"),
    ],
)
def test_a_near_miss_proposes_the_right_name(name: str, meant: str) -> None:
    with pytest.raises(ValidationError) as raw:
        TrainingConfig(**{name: 1})
    assert meant in str(raw.value)
    with pytest.raises(ConfigError) as own:
        TrainingConfig().replace(**{name: 1})
    assert f"TrainingConfig has no setting {name}, did you mean" in str(own.value)
    assert meant in str(own.value)


def test_a_name_that_is_near_to_none_lists_them() -> None:
    with pytest.raises(ValidationError, match="has no setting zzz; it has r, lora_alpha, lora_dropout"):
        LoRAConfig(zzz=1)  # type: ignore[call-arg]


def test_values_out_of_range_are_named_with_what_was_found() -> None:
    with pytest.raises(ConfigError, match=r"learning_rate: .* greater than 0, found -1; lora.r: .*, found 0"):
        TrainingConfig().replace(learning_rate=-1, lora={"r": 0})
    with pytest.raises(ConfigError, match="TrainingConfig"):
        TrainingConfig.checked(learning_rat=1)


@pytest.mark.parametrize("seed", [-1, 2**32, 2**40])
def test_seeds_are_what_the_libraries_take(seed: int) -> None:
    assert TrainingConfig(seed=2**32 - 1).seed == 2**32 - 1
    with pytest.raises(ValidationError):
        TrainingConfig(seed=seed)


def test_a_copy_keeps_what_was_said_and_what_was_not() -> None:
    config = TrainingConfig(seed=3).replace(learning_rate=1.0)
    assert config.model_fields_set == {"seed", "learning_rate"}
    assert config == TrainingConfig(seed=3, learning_rate=1.0)


@pytest.mark.parametrize("settings", [{"prompt": 3}, {"generation": PromptConfig()}, {"prompt": GenerationConfig()}])
def test_settings_of_another_kind_are_refused_before_a_model_is_looked_for(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Extractor.from_base(int, base_model="no/such-model", **settings)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="TrainingConfig"):
        Extractor.fit(int, [], base_model="no/such-model", config={"seed": 1})  # type: ignore[arg-type]
