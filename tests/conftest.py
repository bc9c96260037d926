"""Fixtures: tiny models built on the spot, the real Qwen3 tokenizer and the real SmolLM2 weights."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The same examples everywhere: a property that fails does so for whoever looks, not for the next one who does not.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("EXTRACTFT_HYPOTHESIS", "same"))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).resolve().parent.parent
QWEN3 = Path(os.environ.get("EXTRACTFT_QWEN3_TOKENIZER", ROOT / ".cache" / "qwen3-tokenizer"))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny tensors are faster on one thread, and the same on every machine."""
    import torch

    torch.set_num_threads(1)


def process_state() -> dict[str, Any]:
    """What belongs to the whole process and to the program that imports us."""
    root = logging.getLogger()
    return {
        **{number.name: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)},
        "working directory": Path.cwd(),
        "level of the root logger": root.level,
        "sys.excepthook": sys.excepthook,
        "threading.excepthook": threading.excepthook,
    }


@pytest.fixture(autouse=True, scope="module")
def process_is_left_as_found() -> Iterator[None]:
    """Fail the module that changes what belongs to the whole process, and not one that comes after it."""
    before = process_state()
    yield
    after = process_state()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, before[number.name])  # later modules have not earned it
    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    assert not changed, f"these tests left behind, before and after: {changed}"


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """One token a byte."""
    from extractft.testing import byte_tokenizer

    return byte_tokenizer()


@pytest.fixture(scope="session")
def qwen3_tokenizer() -> Any:
    """The real tokenizer and chat template of Qwen3."""
    if not (QWEN3 / "tokenizer.json").exists():
        pytest.fail(f"expected the Qwen3 tokenizer in {QWEN3}; `make setup` puts it there", pytrace=False)
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(QWEN3)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A directory with a tiny random Qwen3 and the byte tokenizer, as a base model for `fit`."""
    from extractft.testing import tiny_model

    directory = tmp_path_factory.mktemp("tiny-base")
    tiny_model().save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
