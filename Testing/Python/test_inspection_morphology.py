"""Opening and closing against SimpleITK's."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from VoxelOptRegistrationLib.inspection.morphology import close, open_in_plane


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**16), sides=st.tuples(*[st.integers(1, 14)] * 3), share=st.floats(0.05, 0.95))
def test_masks_are_opened_and_closed_as_by_simpleitk(seed: int, sides: tuple[int, int, int], share: float) -> None:
    mask = np.random.default_rng(seed).random(sides) < share
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    opened = sitk.GetArrayFromImage(sitk.BinaryMorphologicalOpening(image, (1, 1, 0))) > 0
    closed = sitk.GetArrayFromImage(sitk.BinaryMorphologicalClosing(image, (2, 2, 1))) > 0
    np.testing.assert_array_equal(open_in_plane(mask), opened)
    np.testing.assert_array_equal(close(mask), closed)
