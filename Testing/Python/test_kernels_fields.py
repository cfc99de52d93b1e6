"""Compiled smoothing, Jacobians and volume damping against their torch twins, which serve in double precision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from VoxelOptRegistrationLib.fields.jacobian import jacobian_determinant, smallest_cell_determinant
from VoxelOptRegistrationLib.fields.smoothing import gaussian_smooth
from VoxelOptRegistrationLib.fields.volume_damping import damp_volume_changes
from VoxelOptRegistrationLib.kernels.runtime import compiles

pytest.importorskip("numba", reason="numba is not installed: plain torch serves alone")

OF_FIELDS: list[Callable[[Tensor], Tensor]] = [
    jacobian_determinant,
    smallest_cell_determinant,
    lambda field: damp_volume_changes(field, 0.3),
]


def shapes(smallest: int) -> st.SearchStrategy[tuple[int, int, int]]:
    return st.tuples(*[st.integers(smallest, 11)] * 3)


def noise(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed))


def assert_is_its_twins(operation: Callable[[Tensor], Tensor], volume: Tensor) -> None:
    assert compiles(volume) and not compiles(volume.double())
    torch.testing.assert_close(operation(volume).double(), operation(volume.double()), atol=2e-5, rtol=2e-5)


@settings(max_examples=20, deadline=None)
@given(shape=shapes(1), sigma=st.floats(0.1, 4.0), seed=st.integers(0, 2**16))
def test_smoothing_is_its_twins(shape: tuple[int, int, int], sigma: float, seed: int) -> None:
    assert_is_its_twins(lambda volume: gaussian_smooth(volume, sigma), noise(shape, seed))


@pytest.mark.parametrize("operation", OF_FIELDS)
@settings(max_examples=15, deadline=None)
@given(shape=shapes(2), amplitude=st.sampled_from([0.05, 0.3]), seed=st.integers(0, 2**16))
def test_what_is_made_of_differences_is_its_twins(
    operation: Callable[[Tensor], Tensor], shape: tuple[int, int, int], amplitude: float, seed: int
) -> None:
    assert_is_its_twins(operation, amplitude * noise(shape, seed))


@pytest.mark.parametrize("operation", OF_FIELDS)
@pytest.mark.parametrize("shape", [(1, 5, 6), (5, 1, 6), (5, 6, 1)])
def test_differences_along_a_single_voxel_are_refused_as_by_the_twin(
    operation: Callable[[Tensor], Tensor], shape: tuple[int, int, int]
) -> None:
    for dtype in (torch.float32, torch.float64):
        with pytest.raises((RuntimeError, IndexError)):
            operation(torch.zeros((3, *shape), dtype=dtype))


@pytest.mark.parametrize("operation", [lambda field: gaussian_smooth(field, 1.4), *OF_FIELDS])
def test_neither_threads_nor_layout_change_anything(operation: Callable[[Tensor], Tensor]) -> None:
    field = 0.3 * noise((26, 27, 28), 0)
    turned = field.transpose(1, 3).contiguous().transpose(1, 3)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = operation(field)
        torch.set_num_threads(3)
        assert torch.equal(operation(field), alone)
        assert torch.equal(operation(turned), alone)
    finally:
        torch.set_num_threads(threads)
