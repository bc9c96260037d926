"""Every way in which weights change is seen, and nothing else is taken for one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from extractft.inference.model_state import WeightVersion
from extractft.testing import tiny_model


@pytest.fixture
def adapted() -> Any:
    model: Any = get_peft_model(tiny_model(), LoraConfig(r=2, target_modules=["q_proj"]))
    return model.eval()


def test_running_the_model_changes_nothing(adapted: Any) -> None:
    weights = WeightVersion(adapted)
    before = weights.version()
    with torch.no_grad():
        adapted(input_ids=torch.tensor([[1, 2, 3]]))
    adapted.train()
    adapted.eval()
    assert weights.version() == before == WeightVersion(adapted).version()


def test_changes_in_place_are_seen(adapted: Any) -> None:
    weights = WeightVersion(adapted)
    seen = [weights.version()]
    layer = adapted.base_model.model.model.layers[0].mlp.up_proj
    with torch.no_grad():
        layer.weight.mul_(2)
        seen.append(weights.version())
        layer.weight = nn.Parameter(layer.weight.clone())
        seen.append(weights.version())
    adapted.load_state_dict(adapted.state_dict())
    seen.append(weights.version())
    assert len(set(seen)) == 4


def test_adapters_that_are_merged_or_added_are_seen(adapted: Any) -> None:
    weights = WeightVersion(adapted)
    before = weights.version()
    adapted.merge_adapter()
    assert weights.version() != before
    adapted.unmerge_adapter()
    again = weights.version()
    adapted.add_adapter("second", LoraConfig(r=2, target_modules=["k_proj"]))
    added = weights.version()
    assert added != again
    with torch.no_grad():
        adapted.base_model.model.model.layers[0].self_attn.k_proj.lora_A["second"].weight.add_(1)
    assert weights.version() != added


def test_parameters_that_go_or_are_for_inference_alone_are_no_hindrance() -> None:
    net: Any = nn.Linear(2, 2)
    weights = WeightVersion(net)
    before = weights.version()
    net.bias = None
    assert weights.version() != before
    with torch.inference_mode():
        net.weight = nn.Parameter(torch.zeros(2, 2), requires_grad=False)
    assert weights.version() == weights.version()
    weights.forget()
    assert weights.version() == weights.version()
