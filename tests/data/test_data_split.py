from __future__ import annotations

import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractft.data import Example, split_examples, text_key
from extractft.errors import DatasetError

TEXTS = st.lists(st.sampled_from(["a", "A ", "b", " b\n", "c", "é", "e\u0301", "ｄ", "", "e", "f", "g"]), max_size=30)


def _examples(texts: list[str]) -> list[Example[int]]:
    return [Example(text, number) for number, text in enumerate(texts)]


@given(TEXTS, st.floats(0, 1, exclude_max=True), st.integers(0, 5))
def test_split(texts: list[str], fraction: float, seed: int) -> None:
    examples = _examples(texts)
    train, held_out = split_examples(examples, fraction=fraction, seed=seed)
    assert sorted([*train, *held_out], key=lambda e: e.output) == examples
    assert [e.output for e in train] == sorted(e.output for e in train)
    assert [e.output for e in held_out] == sorted(e.output for e in held_out)
    assert not {text_key(e.text) for e in train} & {text_key(e.text) for e in held_out}
    assert split_examples(examples, fraction=fraction, seed=seed) == (train, held_out)
    different = len({text_key(text) for text in texts})
    if fraction == 0 or different < 2:
        assert not held_out
    else:
        assert train
        assert held_out


@given(st.integers(2, 300), st.floats(0.01, 0.99), st.integers(0, 5))
def test_the_share_is_met_when_texts_differ(count: int, fraction: float, seed: int) -> None:
    _, held_out = split_examples(_examples([f"text {i}" for i in range(count)]), fraction=fraction, seed=seed)
    assert len(held_out) == min(max(1, round(fraction * count)), count - 1)


def test_order_of_rows_does_not_matter() -> None:
    examples = _examples([f"text {i}" for i in range(50)])
    _, forward = split_examples(examples, fraction=0.2, seed=1)
    _, backward = split_examples(examples[::-1], fraction=0.2, seed=1)
    assert forward == backward[::-1]
    assert split_examples(examples, fraction=0.2, seed=2)[1] != forward


def test_rows_held_out_mostly_stay_held_out_when_rows_are_added() -> None:
    examples = _examples([f"text {i}" for i in range(220)])
    _, before = split_examples(examples[:200], fraction=0.1, seed=1)
    _, after = split_examples(examples, fraction=0.1, seed=1)
    assert len(set(before) - set(after)) <= 2


def test_hash_seed_does_not_matter() -> None:
    code = (
        "from extractft.data import Example, split_examples\n"
        "rows = [Example(f'text {i // 2}', i) for i in range(40)]\n"
        "print([e.output for e in split_examples(rows, fraction=0.3, seed=7)[1]])"
    )
    results = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(results) == 1


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan")])
def test_fraction_is_checked(fraction: float) -> None:
    with pytest.raises(DatasetError, match="fraction"):
        split_examples(_examples(["a", "b"]), fraction=fraction, seed=0)


@given(st.text())
def test_text_key_is_stable(text: str) -> None:
    key = text_key(text)
    assert text_key(key) == key
    assert text_key(f" {text}\u3000") == key
    assert text_key(unicodedata.normalize("NFD", text)) == key
