"""Runs beside each other: the weights of one after the other, and the caller's random numbers as they were."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from pydantic import BaseModel

from extractft import Extractor, LoRAConfig, TrainingConfig
from extractft.errors import ExtractFTError
from extractft.training import exclusive_randomness
from extractft.training.checkpoints import adapter_state


class Person(BaseModel):
    name: str


ROWS = [(f"Person {i}", {"name": f"Person {i}"}) for i in range(8)]


def fitted(tiny_base: Path, seed: int) -> list[Any]:
    config = TrainingConfig(num_train_epochs=3, eval_fraction=0, seed=seed, lora=LoRAConfig(r=4, lora_dropout=0.2))
    extractor = Extractor.fit(Person, ROWS, base_model=str(tiny_base), config=config)
    return [tensor.tolist() for tensor in adapter_state(extractor._own_base().model).values()]


def in_threads(*functions: Callable[[], object]) -> None:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)


def states() -> tuple[Any, ...]:
    return random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[union-attr]


def test_fits_in_threads_have_the_weights_of_fits_one_after_the_other(tiny_base: Path) -> None:
    want = {seed: fitted(tiny_base, seed) for seed in (1, 2)}
    found: dict[int, list[Any]] = {}
    in_threads(*(lambda seed=seed: found.update({seed: fitted(tiny_base, seed)}) for seed in (1, 2)))
    assert found == want
    assert want[1] != want[2]


def test_the_callers_random_numbers_are_untouched(tiny_base: Path) -> None:
    random.seed(5)
    numpy.random.seed(5)
    torch.manual_seed(5)
    before = states()
    fitted(tiny_base, 1)
    assert states() == before


def test_they_are_given_back_after_an_error_as_well(tiny_base: Path) -> None:
    before = states()
    with pytest.raises(ExtractFTError):
        Extractor.fit(Person, ROWS, base_model=str(tiny_base), config=TrainingConfig(max_length=16))
    with pytest.raises(ExtractFTError), exclusive_randomness():
        fitted(tiny_base / f"nowhere-{random.seed(1)}", 1)
    assert states() == before


def test_one_at_a_time_and_within_itself() -> None:
    inside: list[int] = []

    def run() -> None:
        with exclusive_randomness(), exclusive_randomness():
            inside.append(1)
            assert len(inside) == 1
            torch.rand(100_000).sort()
            inside.pop()

    in_threads(*[run] * 8)
    assert not inside


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_fork_does_not_wait_for_a_thread_that_it_does_not_have() -> None:
    inside, go = threading.Event(), threading.Event()

    def hold() -> None:
        with exclusive_randomness():
            inside.set()
            go.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(60)
    pid = os.fork()
    if not pid:
        with exclusive_randomness():
            os._exit(7)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    go.set()
    thread.join(60)
    assert status == 7
