"""Keys and values in slots: they grow, take other shapes in the same memory, and are moved."""

from __future__ import annotations

import pytest
import torch

from extractft.inference.kv_cache import KVCache


@pytest.fixture
def cache() -> KVCache:
    cache = KVCache()
    cache.reserve(1, 5)
    keys = torch.arange(2 * 3 * 4.0).view(2, 3, 4)
    cache.write(0, keys, keys + 100, torch.tensor([0, 0]), torch.tensor([0, 1]))
    return cache


def test_slots_grow_and_keep_what_was_written(cache: KVCache) -> None:
    keys = torch.arange(2 * 3 * 4.0).view(2, 3, 4)
    cache.reserve(4, 100)
    assert (cache.slots, cache.positions) == (4, 128)
    kept_keys, kept_values = cache.read(0, 0, 1, 2)
    assert torch.equal(kept_keys[0].transpose(0, 1), keys)
    assert torch.equal(kept_values[0].transpose(0, 1), keys + 100)
    assert not cache.read(0, 1, 4, 100)[0].any()
    cache.wipe(0)
    assert not cache.read(0, 0, 1, 64)[1].any()
    assert cache.nbytes == 2 * 4 * 128 * 3 * 4 * 4
    cache.clear()
    assert cache.nbytes == 0


def test_slots_take_other_shapes_in_the_same_memory(cache: KVCache) -> None:
    keys = torch.arange(2 * 3 * 4.0).view(2, 3, 4)
    cache.reserve(2, 640)
    filled = torch.full((2 * 640, 3, 4), float("nan"))
    rows, positions = torch.arange(2).repeat_interleave(640), torch.arange(640).repeat(2)
    cache.write(0, filled, filled, rows, positions)
    cache.write(0, keys, keys + 100, torch.tensor([1, 1]), torch.tensor([0, 1]))
    taken = cache.nbytes
    cache.reserve(2, 5)  # there is room
    assert (cache.slots, cache.positions) == (2, 640)
    cache.reserve(10, 70)
    assert (cache.slots, cache.positions) == (10, 128)
    assert cache.nbytes == taken
    assert torch.equal(cache.read(0, 1, 2, 2)[1][0].transpose(0, 1), keys + 100)
    assert torch.isnan(cache.read(0, 1, 2, 128)[0][:, :, 2:]).all()  # what stood there
    assert not cache.read(0, 2, 10, 128)[0].any()
    cache.reserve(2, 600)  # the slots stay where there is room for them, or the positions
    assert (cache.slots, cache.positions) == (2, 640)
    cache.reserve(1, 641)
    assert (cache.slots, cache.positions) == (1, 800)
    assert cache.nbytes == taken


def test_what_is_moved_within_a_slot_is_read_before_it_is_overwritten(cache: KVCache) -> None:
    keys = torch.arange(2 * 3 * 4.0).view(2, 3, 4)
    slots = torch.tensor([0, 0])
    cache.move(slots, torch.tensor([1, 0]), torch.tensor([0, 2]))
    found, values = cache.read(0, 0, 1, 3)
    assert torch.equal(found[0].transpose(0, 1), keys[[1, 1, 0]])
    assert torch.equal(values[0].transpose(0, 1), keys[[1, 1, 0]] + 100)
