"""Compiled MIND-SSC against its torch twin."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from VoxelOptRegistrationLib.features.mind import mind_ssc
from VoxelOptRegistrationLib.kernels.runtime import SWITCH

pytest.importorskip("numba", reason="numba is not installed: plain torch serves alone")


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    sides=st.tuples(*[st.integers(1, 11)] * 3),
    radius=st.integers(0, 3),
    dilation=st.integers(1, 3),
)
def test_descriptors_are_their_twins(seed: int, sides: tuple[int, ...], radius: int, dilation: int) -> None:
    """The twin in float64, which has no loop; sides shorter than the neighbourhood included."""
    image = torch.rand(sides, generator=torch.Generator().manual_seed(seed)) * 1000
    expected = mind_ssc(image.double(), radius, dilation)
    torch.testing.assert_close(mind_ssc(image, radius, dilation).double(), expected, atol=2e-5, rtol=0)


def test_threads_share_a_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.rand(40, 30, 31, generator=torch.Generator().manual_seed(1))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        shared = mind_ssc(image, 2, 2)
    finally:
        torch.set_num_threads(threads)
    monkeypatch.setenv(SWITCH, "torch")
    torch.testing.assert_close(shared, mind_ssc(image, 2, 2), atol=2e-5, rtol=0)


def test_a_constant_image_has_no_structure() -> None:
    assert (mind_ssc(torch.full((20, 30, 40), 7.0)) == 1).all()
