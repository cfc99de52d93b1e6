"""What goes into a registration and what comes out of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from .images.transforms import validate_transform
from .images.validation import validate_labels, validate_mask, validate_pairs, validate_volume


@dataclass(frozen=True, eq=False)
class Inputs:
    """Two volumes and what is known about them; masks and labels lie on the grid of their volume.

    fixed_landmarks, moving_landmarks: the same points in both volumes, (N, 3), LPS mm; the result is bent towards them.
    initial_transform: fixed point -> moving point, LPS mm. The names appear in the report.
    """

    fixed: sitk.Image
    moving: sitk.Image
    fixed_mask: sitk.Image | None = None
    moving_mask: sitk.Image | None = None
    fixed_labels: sitk.Image | None = None
    moving_labels: sitk.Image | None = None
    fixed_landmarks: np.ndarray | None = None
    moving_landmarks: np.ndarray | None = None
    initial_transform: sitk.Transform | None = None
    fixed_name: str = "fixed"
    moving_name: str = "moving"

    def validated(self) -> Inputs:
        """The same, checked; raises `InputError` with one line for what cannot be registered."""
        fixed = validate_volume(self.fixed, "The fixed volume")
        moving = validate_volume(self.moving, "The moving volume")
        checked: dict[str, Any] = {"fixed": fixed, "moving": moving}
        for role, reference in (("fixed", fixed), ("moving", moving)):
            for kind, validate in (("mask", validate_mask), ("labels", validate_labels)):
                image = getattr(self, f"{role}_{kind}")
                if image is not None:
                    checked[f"{role}_{kind}"] = validate(image, reference, f"The {role} {kind}")
        if self.fixed_landmarks is not None or self.moving_landmarks is not None:
            pairs = validate_pairs(self.fixed_landmarks, self.moving_landmarks, fixed, moving)
            checked["fixed_landmarks"], checked["moving_landmarks"] = pairs
        if self.initial_transform is not None:
            checked["initial_transform"] = validate_transform(self.initial_transform, "The initial transform")
        return dataclasses.replace(self, **checked)


@dataclass(frozen=True, eq=False)
class Result:
    """What a registration gives.

    displacement: the whole mapping on the fixed grid, float32 (Z, Y, X, 3), LPS mm, moving point minus fixed point.
    inverse_displacement: the same the other way on the moving grid; inverse_valid, bool (Z, Y, X), where it leads
    into the fixed volume's field of view. warped (moving's pixel type), entropy (float32, [0, 1], 1 = no signal),
    jacobian (float32) and expected_error (float32, mm) lie on the fixed grid, and so does stiffness
    (float32, 1 = as elsewhere), where a refinement found it, and the patient's body (bool (Z, Y, X)), where it was
    searched. report: see `inspection.report`.
    """

    displacement: np.ndarray
    inverse_displacement: np.ndarray
    inverse_valid: np.ndarray
    warped: sitk.Image
    entropy: sitk.Image
    jacobian: sitk.Image
    expected_error: sitk.Image
    report: dict[str, Any]
    stiffness: sitk.Image | None = None
    body: np.ndarray | None = None

    def hand_over(self, name: str) -> Any:
        """The map or field called `name`, which the result then no longer has: its memory goes with the receiver."""
        return vars(self).pop(name)
