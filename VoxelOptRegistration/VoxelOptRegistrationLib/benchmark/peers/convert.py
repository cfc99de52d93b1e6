"""From a peer's own kind of field to a transform, fixed point -> moving point, mm, LPS.

Kinds, by the file's name: an image (.mha, .nii.gz) holds displacements in mm, components (x, y, z) in LPS, on its own
grid, as ITK's programs write them; an array (.npy) of shape (Z, Y, X, 3) holds displacements in voxels of the fixed
volume, component a along array axis a.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ...errors import ComputationError
from ...images.displacement import displacement_image, world_vectors
from ...images.grid import Grid

_MARGIN_VOXELS = 3
"""The field goes on, constant, beyond its grid: ITK would jump to the identity, also just outside the border voxels."""


def read_field(path: Path, fixed: sitk.Image) -> sitk.Image:
    """The displacements in `path` as an image of float64 vectors, mm LPS.

    Raises `ComputationError` for a field that is not finite or does not fit `fixed`.
    """
    if path.suffix == ".npy":
        array = np.load(path)
        grid = Grid.of(fixed)
        if array.shape != (*grid.size_zyx, 3):
            raise ComputationError(f"The field in {path.name} has the shape {array.shape}.", "Expected (Z, Y, X, 3).")
        field = displacement_image(world_vectors(np.moveaxis(array, -1, 0), grid), grid)
    else:
        field = sitk.ReadImage(str(path), sitk.sitkVectorFloat64)
        if field.GetNumberOfComponentsPerPixel() != 3:
            raise ComputationError(f"The field in {path.name} has no three components.", "Expected vectors.")
    if not np.isfinite(sitk.GetArrayViewFromImage(field)).all():
        raise ComputationError(f"The field in {path.name} holds NaN or infinite values.", "Nothing can be scored.")
    return field


def to_transform(field: sitk.Image, alignment: sitk.Transform) -> sitk.Transform:
    """p -> alignment(p + field(p)), the field continued a little beyond its grid."""
    margin = [_MARGIN_VOXELS] * 3
    wider = sitk.DisplacementFieldTransform(sitk.ZeroFluxNeumannPad(field, margin, margin))
    return sitk.CompositeTransform([alignment, wider])
