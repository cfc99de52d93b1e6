"""The released VoxelOpt's outputs, reproduced by the paper's settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from VoxelOptRegistrationLib.features.mind import mind_ssc
from VoxelOptRegistrationLib.options import Border, EntropyScale, Smoothing, VoxelOptOptions
from VoxelOptRegistrationLib.solvers.candidates import candidate_displacements, similarity_scores
from VoxelOptRegistrationLib.solvers.entropy import displacement_entropy
from VoxelOptRegistrationLib.solvers.voxelopt import solve

MEAN_TOLERANCE = 1e-4
SHARE_TOLERANCE = 1e-3
"""Float near-ties may flip a few argmaxes: the tolerance that came with the outputs."""


class Golden:
    def __init__(self, path: Path) -> None:
        self.arrays = np.load(path)

    def __getitem__(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[name].astype(np.float32))

    def features(self, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
        if kind == "mind":
            return self["mind_fixed"], self["mind_moving"]
        return self["fixed"][None], self["moving"][None]


@pytest.fixture(scope="module")
def golden(shared_folder: Path) -> Golden:
    return Golden(shared_folder / "golden" / "voxelopt_golden.npz")


@pytest.mark.parametrize("smoothing", [Smoothing.ADAPTIVE, Smoothing.RELEASED])
@pytest.mark.parametrize("kind", ["intensity", "mind"])
def test_displacement(golden: Golden, kind: str, smoothing: Smoothing) -> None:
    released = golden[f"displacement_{kind}_{'adaptive' if smoothing is Smoothing.ADAPTIVE else 'isotropic'}"]
    ours = solve(*golden.features(kind), VoxelOptOptions.paper(smoothing)).displacement
    difference = (ours - released).abs()
    assert float(difference.mean()) <= MEAN_TOLERANCE
    assert float((difference > 1e-3).float().mean()) <= SHARE_TOLERANCE


@pytest.mark.parametrize("kind", ["intensity", "mind"])
def test_entropy_of_the_finest_level(golden: Golden, kind: str) -> None:
    scores = similarity_scores(*golden.features(kind), candidate_displacements(1), Border.ZERO)
    entropy = displacement_entropy(scores, 10.0, EntropyScale.VOLUME)
    torch.testing.assert_close(torch.log2(1 + entropy), golden[f"entropy_{kind}_level0"].squeeze(), atol=1e-5, rtol=0)


def test_scores_of_the_finest_level(golden: Golden) -> None:
    offsets = candidate_displacements(1)
    scores = similarity_scores(*golden.features("intensity"), offsets, Border.ZERO)
    lexicographic = torch.argsort(offsets @ torch.tensor([9.0, 3.0, 1.0]))
    released = golden["scores_intensity_level0_slice16"].squeeze()
    torch.testing.assert_close(scores[lexicographic][:, 16], released, atol=1e-6, rtol=0)


@pytest.mark.parametrize("role", ["fixed", "moving"])
def test_mind_ssc(golden: Golden, role: str) -> None:
    # The descriptor was stored in half precision: half a unit in the last place near 1 is 2.4e-4.
    ours = mind_ssc(golden[role], radius=2, dilation=2)
    torch.testing.assert_close(ours, golden[f"mind_{role}"], atol=5e-4, rtol=0)
