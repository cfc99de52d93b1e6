"""Slab by slab, everything gives what it gives in one piece; slices that fall short are nobody else's business."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_images import smooth_field, textured
from torch import Tensor
from VoxelOptRegistrationLib.fields import sampling, slabs
from VoxelOptRegistrationLib.fields.sampling import gather_sample, identity_grid, warp
from VoxelOptRegistrationLib.fields.smoothing import gaussian_smooth
from VoxelOptRegistrationLib.fields.volume_damping import damp_volume_changes
from VoxelOptRegistrationLib.options import Border, DescentOptions
from VoxelOptRegistrationLib.refinement.forces import CorrelationForce, FeatureForce
from VoxelOptRegistrationLib.refinement.local_correlation import LocalCorrelation


@contextmanager
def slabs_of(thickness: int) -> Iterator[None]:
    """Slabs of `thickness` slices, however small the volume."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slabs, "_SLAB_VOXELS", 1)
        patch.setattr(sampling, "_SLAB_VOXELS", 1)
        patch.setattr(slabs, "_LEAST_THICKNESS", thickness)
        yield


def gaussian(maps: Tensor, field: Tensor) -> Tensor:
    return gaussian_smooth(maps, 1.3)


def damping(maps: Tensor, field: Tensor) -> Tensor:
    return damp_volume_changes(field, 0.2)


def correlation(maps: Tensor, field: Tensor) -> Tensor:
    similarity = LocalCorrelation.of(maps[0], 2, 0.1)
    return torch.stack([similarity.mean, similarity.variance, similarity.gradient(maps[1], maps[0].clamp(0, 1))])


def correlation_force(maps: Tensor, field: Tensor) -> Tensor:
    trusts = (maps[2] > 0.3, maps[3] > 0.2)
    return CorrelationForce.of(maps[0], maps[1], trusts, DescentOptions())(field)


def feature_force(maps: Tensor, field: Tensor) -> Tensor:
    return FeatureForce.of(maps[:2], maps[2:], (None, maps[3] > 0.2))(field)


def pulled(maps: Tensor, field: Tensor) -> Tensor:
    return warp(maps, field, Border.ZERO)


@pytest.mark.parametrize("operation", [gaussian, damping, correlation, correlation_force, feature_force, pulled])
@settings(max_examples=10, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 11), st.integers(2, 5), st.integers(2, 5)),
    thickness=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_slabs_give_what_the_whole_gives(
    operation: Callable[[Tensor, Tensor], Tensor], shape: tuple[int, int, int], thickness: int, seed: int
) -> None:
    maps, field = textured(4, shape, seed).double(), smooth_field(shape, 1.5, seed).double()
    with slabs_of(100):
        whole = operation(maps, field)
    with slabs_of(thickness):
        assert len(list(slabs.slices_of(shape, 1))) == -(-shape[0] // thickness)
        parts = operation(maps, field)
    torch.testing.assert_close(parts, whole, atol=1e-12, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    other=st.tuples(*[st.integers(1, 9)] * 3),
    thickness=st.integers(1, 4),
    border=st.sampled_from(list(Border)),
)
def test_warping_by_slabs_is_gathering(shape, other, thickness, border) -> None:
    volume = textured(2, shape, 3).double()
    field = 3 * torch.randn((3, *other), dtype=torch.float64, generator=torch.Generator().manual_seed(sum(other)))
    for axis, (size, wanted) in enumerate(zip(shape, other, strict=True)):
        if size == 1:
            field[axis] = -torch.arange(wanted).view([-1 if a == axis else 1 for a in range(3)])
    expected = gather_sample(volume, identity_grid(other, dtype=torch.float64) + field, border)
    with slabs_of(thickness):
        torch.testing.assert_close(warp(volume, field, border), expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 3, 3), (100, 700, 700), (9, 10, 40_000)])
def test_slices_cover_the_volume_once(shape: tuple[int, int, int]) -> None:
    pieces = list(slabs.slices_of(shape, 1 << 19))
    assert [start for start, _ in pieces] == [0, *(end for _, end in pieces[:-1])]
    assert pieces[-1][1] == shape[0]
    assert len(pieces) == {100: 13, 9: 2}.get(shape[0], 1)


def test_every_volume_is_cut_alike_and_none_stays_none() -> None:
    first, second = torch.randn(2, 5, 3, 3), torch.randn(5, 3, 3)
    with slabs_of(2):
        result = slabs.by_slabs(lambda a, b, c: a * b if c is None else a, (first, second, None), 1)
    assert torch.equal(result, first * second)
