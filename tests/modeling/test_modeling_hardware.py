from __future__ import annotations

import pytest
import torch

from extractft.errors import ConfigError
from extractft.modeling import choose_device, choose_dtype


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def only_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("only_cpu")
def test_without_accelerators() -> None:
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    for name in ("cuda", "mps", "cuda:0"):
        with pytest.raises(ConfigError, match=rf"\(auto, cpu\), found '{name}'"):
            choose_device(name)


@pytest.mark.usefixtures("only_cpu")
def test_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == choose_device("mps") == torch.device("mps")


@pytest.mark.usefixtures("two_cards")
def test_cuda() -> None:
    assert choose_device("auto") == torch.device("cuda", 0)
    assert choose_device("cuda") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="cuda:2"):
        choose_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "xpu", "meta"])
def test_no_such_device(name: str) -> None:
    with pytest.raises(ConfigError, match="Expected a device of this machine"):
        choose_device(name)


@pytest.mark.parametrize(("computes", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_dtype_on_cuda(computes: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractft.modeling.hardware._computes_bfloat16", lambda device: computes)
    assert choose_dtype("auto", torch.device("cuda", 0)) == expected


@pytest.mark.parametrize("kind", ["cpu", "mps"])
def test_auto_dtype_elsewhere(kind: str) -> None:
    assert choose_dtype("auto", torch.device(kind)) == torch.float32


def test_dtype_as_told() -> None:
    assert choose_dtype("bfloat16", torch.device("cpu")) == torch.bfloat16
    assert choose_dtype("float16", torch.device("cpu")) == torch.float16
    with pytest.raises(ConfigError, match="'int8'"):
        choose_dtype("int8", torch.device("cpu"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_real_card() -> None:
    device = choose_device("auto")
    major, _ = torch.cuda.get_device_capability(device)
    assert choose_dtype("auto", device) == (torch.bfloat16 if major >= 8 else torch.float32)
