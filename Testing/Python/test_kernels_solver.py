"""Every compiled loop of the solver against the plain torch that it replaces, here in double precision."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from VoxelOptRegistrationLib.fields.algebra import compose, exponential, make_inverse_consistent
from VoxelOptRegistrationLib.kernels import composition, coupling, entropy, filtering, halving, scoring, vectors
from VoxelOptRegistrationLib.options import Border, EntropyScale, Smoothing, Ties, VoxelOptOptions
from VoxelOptRegistrationLib.solvers import subvoxel
from VoxelOptRegistrationLib.solvers.candidates import (
    candidate_displacements,
    similarity_scores,
    squared_difference_scores,
)
from VoxelOptRegistrationLib.solvers.coupling import best_displacement
from VoxelOptRegistrationLib.solvers.entropy import displacement_entropy
from VoxelOptRegistrationLib.solvers.message_passing import entropy_filter
from VoxelOptRegistrationLib.solvers.pyramid import downsample

pytest.importorskip("numba", reason="numba is not installed: plain torch serves alone")

few = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**16)
sides = st.tuples(*[st.integers(2, 11)] * 3)
borders = st.sampled_from(list(Border))


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_same(fast: Tensor, twin: Tensor, atol: float = 2e-5) -> None:
    assert fast.dtype is torch.float32 and twin.dtype is torch.float64
    torch.testing.assert_close(fast.double(), twin, atol=atol, rtol=0)


@few
@given(seed=seeds, shape=sides, border=borders, radius=st.integers(1, 2), squared=st.booleans())
def test_scores(seed: int, shape: tuple[int, int, int], border: Border, radius: int, squared: bool) -> None:
    fixed, moving = noise(seed, 3, *shape), noise(seed + 1, 3, *shape)
    candidates = candidate_displacements(radius)
    fast = scoring.score_candidates(fixed, moving, candidates, border, 1.0 if squared else 1 / 3, squared)
    twin = squared_difference_scores if squared else similarity_scores
    assert_same(fast, twin(fixed.double(), moving.double(), candidates, border), 1e-4)


@few
@given(seed=seeds, shape=sides, whole=st.booleans())
def test_scores_of_what_cannot_be_compared(seed: int, shape: tuple[int, int, int], whole: bool) -> None:
    fixed, moving = noise(seed, 1, *shape), noise(seed + 1, 1, *shape)
    trust, known = noise(seed + 2, *shape) > 0.5, None if whole else noise(seed + 3, *shape) > -0.5
    candidates = candidate_displacements(1)
    fast = similarity_scores(fixed, moving, candidates, Border.REPLICATE, known, trust)
    assert_same(fast, similarity_scores(fixed.double(), moving.double(), candidates, Border.REPLICATE, known, trust))


@few
@given(seed=seeds, shape=sides, sharpness=st.sampled_from([0.1, 10.0, 1000.0]), count=st.sampled_from([7, 27]))
def test_entropy(seed: int, shape: tuple[int, int, int], sharpness: float, count: int) -> None:
    scores = -noise(seed, count, *shape).abs()
    fast = entropy.entropies(scores, sharpness)
    twin = displacement_entropy(scores.double(), sharpness, EntropyScale.CANDIDATES) * math.log(count)
    assert_same(fast, twin, 1e-5)


@pytest.mark.parametrize("smoothing", list(Smoothing))
@few
@given(
    seed=seeds,
    shape=sides,
    border=borders,
    passes=st.integers(0, 6),
    channels=st.sampled_from([1, 3, 7]),
    deep=st.booleans(),
)
def test_filter(
    seed: int, shape: tuple[int, int, int], border: Border, passes: int, channels: int, deep: bool, smoothing: Smoothing
) -> None:
    """Deep volumes are cut into parts where there are several threads."""
    depth = 40 if deep else shape[0]
    volume = noise(seed, channels, depth, *shape[1:])
    uncertainty = torch.rand(volume.shape[1:], generator=torch.Generator().manual_seed(seed))
    messages = entropy_filter(uncertainty, 0.3, 1.2, border, smoothing)
    exact = entropy_filter(uncertainty.double(), 0.3, 1.2, border, smoothing)
    fast = filtering.smooth(volume.clone(), messages.side, border, passes)
    assert_same(fast, exact.smooth_(volume.double(), passes))


@few
@given(seed=seeds, shape=sides, strength=st.sampled_from([None, 0.003, 1.0]))
def test_coupled_maximum(seed: int, shape: tuple[int, int, int], strength: float | None) -> None:
    """Noise has no near-ties that rounding could decide: they are as far apart as 1e-5 at least in all but 1 of 1e4."""
    scores, smooth = noise(seed, 27, *shape), None if strength is None else noise(seed + 1, 3, *shape)
    candidates = candidate_displacements(1)
    fast = coupling.best_displacement(scores, candidates, smooth, strength or 0.0)
    known = None if smooth is None else smooth.double()
    twin = best_displacement(scores.double(), candidates, Ties.CENTRE, known, strength or 0.0)
    differ = (fast != twin).any(dim=0)
    assert int(differ.sum()) <= 1
    assert torch.equal(fast.round(), fast)


def test_what_is_not_a_number_chooses_a_candidate() -> None:
    candidates = candidate_displacements(1)
    scores, smooth = torch.full((27, 5, 6, 7), torch.nan), torch.full((3, 5, 6, 7), torch.nan)
    assert torch.equal(coupling.best_displacement(scores, candidates, smooth, 0.1), torch.zeros(3, 5, 6, 7))


@few
@given(seed=seeds, shape=sides, strength=st.sampled_from([0.003, 1.0]))
def test_peaks_of_parabolas(seed: int, shape: tuple[int, int, int], strength: float) -> None:
    scores, smooth = -noise(seed, 7, *shape).abs(), noise(seed + 1, 3, *shape)
    fast = coupling.parabola_peaks(scores, smooth, strength, 1e-3)
    assert_same(fast, subvoxel._peaks(scores.double())(smooth.double(), strength), 1e-4)


def test_the_layout_of_a_field_changes_nothing() -> None:
    scores, candidates = noise(0, 27, 4, 5, 6), candidate_displacements(1)
    smooth = noise(1, 4, 5, 6, 3).movedim(-1, 0)
    assert not smooth.is_contiguous()
    for run in (
        lambda field: coupling.best_displacement(scores, candidates, field, 0.1),
        lambda field: coupling.parabola_peaks(scores[:7], field, 0.1, 1e-3),
    ):
        assert torch.equal(run(smooth), run(smooth.contiguous()))


def test_a_field_that_cannot_be_written_in_place_is_refused() -> None:
    field, step = noise(0, 4, 5, 6, 3).movedim(-1, 0), noise(1, 3, 4, 5, 6)
    with pytest.raises(ValueError, match="written in place"):
        vectors.go_on(field, 0.9, step, 0.1)
    with pytest.raises(ValueError, match="written in place"):
        scoring.neutralise(field, candidate_displacements(1)[:3], torch.ones(4, 5, 6), torch.ones(4, 5, 6))


@few
@given(seed=seeds, shape=sides, amplitude=st.sampled_from([0.2, 0.9, 4.0]))
def test_composition(seed: int, shape: tuple[int, int, int], amplitude: float) -> None:
    """Displacements below one voxel take the short way, others the long one, mixed ones both."""
    outer = noise(seed, 3, *shape)
    inner = amplitude * (2 * torch.rand((3, *shape), generator=torch.Generator().manual_seed(seed)) - 1)
    assert_same(composition.add_pulled(outer, inner), compose(outer.double(), inner.double()))
    small = 0.9 * torch.sin(inner)
    both = make_inverse_consistent(small, inner, 3)
    for fast, twin in zip(both, make_inverse_consistent(small.double(), inner.double(), 3), strict=True):
        assert_same(fast, twin, 1e-4)
    assert_same(exponential(inner), exponential(inner.double()), 1e-3)


def test_composition_with_what_is_not_a_number_stays_inside_the_memory() -> None:
    outer, inner = torch.rand(3, 6, 7, 8), torch.full((3, 6, 7, 8), torch.nan)
    inner[:, 3:] = torch.inf
    assert composition.add_pulled(outer, inner, 0.0).shape == (3, 6, 7, 8)
    assert not composition.add_pulled(outer, inner).isfinite().any()


@few
@given(seed=seeds, shape=sides, axes=st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_halving(seed: int, shape: tuple[int, int, int], axes: tuple[bool, bool, bool]) -> None:
    volume = noise(seed, 2, *shape)
    assert_same(halving.halve(volume, axes), downsample(volume.double(), axes, VoxelOptOptions()))
