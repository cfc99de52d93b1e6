"""Random image geometries for the tests of `images`: oblique, flipped, anisotropic, on request sheared."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from hypothesis import strategies as st


@st.composite
def geometries(
    draw: st.DrawFn, smallest: int = 8, largest: int = 12, shear: bool = False, far: float = 300.0
) -> sitk.Image:
    """A float image of zeros with random size, spacing 0.4 to 5 mm, origin, rotation, axis flips and axis order."""
    size = [draw(st.integers(smallest, largest)) for _ in range(3)]
    spacing = [draw(st.floats(0.4, 5.0)) for _ in range(3)]
    origin = [draw(st.floats(-far, far)) for _ in range(3)]
    axis = np.array([draw(st.floats(-1, 1)) for _ in range(3)]) + [0.0, 0.0, 1.5]
    versor = sitk.VersorTransform((axis / np.linalg.norm(axis)).tolist(), draw(st.floats(-3.1, 3.1)))
    direction = np.reshape(versor.GetMatrix(), (3, 3))
    direction = direction[:, draw(st.permutations([0, 1, 2]))]
    direction = direction * [draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)]
    if shear:
        direction = direction @ (np.eye(3) + np.triu([[draw(st.floats(-0.3, 0.3)) for _ in range(3)]] * 3, 1))
        direction = direction / np.linalg.norm(direction, axis=0)
    image = sitk.Image(size, sitk.sitkFloat32)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    # Without numbers like 1e-300, on which ITK's inversion of the direction fails and which no scanner writes.
    image.SetDirection((np.round(direction, 15) + 0.0).ravel().tolist())
    return image


@st.composite
def affine_maps(draw: st.DrawFn, strength: float = 0.15, shift: float = 40.0) -> np.ndarray:
    """A random invertible 4 x 4 affine map, mm."""
    matrix = np.eye(4)
    matrix[:3, :3] += np.reshape([draw(st.floats(-strength, strength)) for _ in range(9)], (3, 3))
    matrix[:3, 3] = [draw(st.floats(-shift, shift)) for _ in range(3)]
    return matrix


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A 4 x 4 map on points (..., 3)."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def voxel_centres(image: sitk.Image) -> np.ndarray:
    """(Z, Y, X, 3) points, asked of SimpleITK one by one."""
    x, y, z = image.GetSize()
    indices = [(i, j, k) for k in range(z) for j in range(y) for i in range(x)]
    return np.array([image.TransformIndexToPhysicalPoint(index) for index in indices]).reshape(z, y, x, 3)


def points_inside(image: sitk.Image, rng: np.random.Generator, count: int, margin: float) -> np.ndarray:
    """Random points between the voxel centres of `image`, `margin` voxels away from the outermost ones."""
    size = np.array(image.GetSize())
    indices = margin + rng.random((count, 3)) * (size - 1 - 2 * margin)
    return np.array([image.TransformContinuousIndexToPhysicalPoint(i) for i in indices.tolist()])
