"""Memory that results of loops share, one after another: never two at once, never more than promised, never kept."""

from __future__ import annotations

import gc
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from VoxelOptRegistrationLib.fields.smoothing import gaussian_smooth
from VoxelOptRegistrationLib.kernels.memory_reuse import empty, reused_memory
from VoxelOptRegistrationLib.kernels.runtime import numba_serves
from VoxelOptRegistrationLib.options import VoxelOptOptions
from VoxelOptRegistrationLib.solvers import voxelopt

MIB = 1 << 18
"""Float32 numbers of a MiB."""


def address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def large_blocks() -> dict[int, int]:
    """Where the memory of the tensors of at least 4 MiB lies, and how many numbers each block has."""
    tensors = [thing for thing in gc.get_objects() if type(thing) is Tensor]
    return {address(tensor): tensor.untyped_storage().nbytes() // 4 for tensor in tensors if tensor.numel() >= 4 * MIB}


def test_a_result_takes_the_memory_of_one_that_is_gone() -> None:
    with reused_memory():
        first = empty((4, MIB))
        keeper = empty((4, MIB))
        where = address(first)
        del first
        assert address(empty((2, 2, MIB))) == where
        assert address(keeper) != where


def test_whatever_still_looks_at_memory_keeps_it() -> None:
    with reused_memory():
        looks = [
            lambda tensor: tensor[0, 5:9],
            lambda tensor: tensor.numpy(),
            lambda tensor: tensor.view(-1).detach(),
            lambda tensor: tensor.transpose(0, 1).numpy()[3],
        ]
        for look in looks:
            tensor = empty((4, MIB)).fill_(7.0)
            seen = look(tensor)
            del tensor
            others = [empty((4, MIB)).fill_(1.0) for _ in range(3)]
            assert (torch.as_tensor(seen) == 7.0).all()
            assert len({address(other) for other in others}) == 3


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4), st.integers(0, 5)), min_size=1, max_size=40))
def test_no_two_tensors_in_use_share_memory(steps: list[tuple[bool, int, int]]) -> None:
    alive: list[tuple[Tensor, float]] = []
    with reused_memory():
        for number, (make, size, victim) in enumerate(steps):
            if make or not alive:
                alive.append((empty((size, MIB)).fill_(number), float(number)))
            else:
                alive.pop(victim % len(alive))
            assert all((tensor[0, 0], tensor[-1, -1]) == (value, value) for tensor, value in alive)
    assert all((tensor == value).all() for tensor, value in alive)


def test_results_outlive_the_scope_and_nothing_else_does() -> None:
    with reused_memory():
        kept = empty((4, MIB)).fill_(3.0)
        spare = empty((4, MIB))
        where = address(spare)
        del spare
        again = empty((4, MIB))
        assert address(again) == where
        del again
    gc.collect()
    assert (kept == 3.0).all()
    assert set(large_blocks()) == {address(kept)}


def test_spare_memory_is_bounded_by_what_was_in_use() -> None:
    """Volumes of ever new sizes, one at a time: what has become spare must make room."""
    with reused_memory():
        addresses = set()
        for size in range(40, 80):
            tensor = empty((size, MIB // 4))
            addresses.add(address(tensor))
            del tensor
            gc.collect(0)
            assert sum(large_blocks().values()) <= 1.3 * size * MIB // 4


def test_other_threads_and_other_times_are_left_alone() -> None:
    found: list[int] = []
    with reused_memory():
        first = empty((4, MIB))
        where = address(first)
        del first
        thread = threading.Thread(target=lambda: found.append(address(empty((4, MIB)))))
        thread.start()
        thread.join()
        mine = empty((4, MIB))
        assert address(mine) == where
    assert found and found[0] != where


def test_an_error_within_the_scope_ends_it() -> None:
    with pytest.raises(ValueError, match="stop"), reused_memory():
        raise ValueError("stop")
    tensor = empty((4, MIB))
    with reused_memory():
        assert address(empty((4, MIB))) != address(tensor)


def test_small_results_are_nobodys_business() -> None:
    with reused_memory():
        tensor = empty((3, 4, 5))
        assert tensor.shape == (3, 4, 5)
        assert tensor.dtype is torch.float32


@pytest.mark.skipif(not numba_serves(), reason="needs numba: without it no loop writes a result")
def test_results_are_the_same_to_the_last_bit() -> None:
    torch.manual_seed(5)
    volume = torch.rand(3, 40, 64, 48)
    plain = gaussian_smooth(gaussian_smooth(volume, 1.5), 0.7)
    with reused_memory():
        for _ in range(3):
            assert torch.equal(gaussian_smooth(gaussian_smooth(volume, 1.5), 0.7), plain)


@pytest.mark.skipif(not numba_serves(), reason="needs numba: without it no loop writes a result")
def test_two_solutions_in_a_row_do_not_write_into_each_other() -> None:
    torch.manual_seed(6)
    fixed, moving = gaussian_smooth(torch.rand(4, 40, 44, 48), 1.0), gaussian_smooth(torch.rand(4, 40, 44, 48), 1.0)
    options = VoxelOptOptions(levels=3)
    with reused_memory():
        first = voxelopt.solve(fixed, moving, options).displacement
        copy = first.clone()
        second = voxelopt.solve(moving, fixed, options).displacement
        assert torch.equal(first, copy)
        assert not torch.equal(first, second)
        assert torch.equal(voxelopt.solve(fixed, moving, options).displacement, copy)
