"""What makes fields smooth, against closed forms; the box means against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from VoxelOptRegistrationLib.options import Border
from VoxelOptRegistrationLib.refinement.regularisers import (
    bending,
    beta_hyperprior,
    diffusion,
    normal_hyperprior,
    spatially_varying,
)
from VoxelOptRegistrationLib.solvers.boxes import box_smooth

POSITIONS = torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in (6, 7, 8)], indexing="ij")).double()


def test_diffusion_of_a_linear_field_is_its_slopes_squared() -> None:
    matrix = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    field = torch.einsum("ca,azyx->czyx", matrix, POSITIONS) + 5.0
    assert float(diffusion(field)) == pytest.approx(float(matrix.square().sum()) / 3)
    assert float(bending(field)) == pytest.approx(0.0, abs=1e-20)


def test_bending_of_a_quadratic_field_is_its_second_derivatives_squared() -> None:
    z, y, x = POSITIONS
    field = torch.stack([1.5 * z * z, 2.0 * y * x, 0.5 * x * x + z * x])
    second = [(3.0**2), 2 * 2.0**2, 1.0**2 + 2 * 1.0**2]
    assert float(bending(field)) == pytest.approx(sum(second) / 3)


def test_local_weights_count_where_differences_end() -> None:
    field = torch.zeros(3, 4, 5, 6, dtype=torch.float64)
    field[1, 2:] = 3.0
    weights = torch.ones(4, 5, 6, dtype=torch.float64)
    assert float(spatially_varying(field, weights)) == pytest.approx(float(diffusion(field)))
    weights[2] = 0.25
    assert float(spatially_varying(field, weights)) == pytest.approx(0.25 * float(diffusion(field)))
    weights[2], weights[1] = 1.0, 0.0
    assert float(spatially_varying(field, weights)) == pytest.approx(float(diffusion(field)))


def test_hyperpriors_balance_where_calculus_says() -> None:
    """With a difference r per voxel: w r' = strength / w for Beta, 2 strength (1 - w) = r' for the normal one."""
    r, strength = 0.4, 0.1
    for prior, best in ((beta_hyperprior, strength / r), (normal_hyperprior, 1 - r / (2 * strength))):
        if prior is normal_hyperprior:
            strength, best = 1.0, 1 - r / 2.0
        weights = torch.full((2, 3, 4), best, dtype=torch.float64, requires_grad=True)
        (r * weights.mean() + prior(weights, strength)).backward()
        assert weights.grad is not None and float(weights.grad.abs().max()) < 1e-12


@pytest.mark.parametrize("penalty", [diffusion, bending, lambda u: spatially_varying(u, u.abs()[..., 0, :, :, :])])
def test_gradients_batches_and_single_slices(penalty) -> None:
    field = torch.randn(2, 3, 3, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert torch.autograd.gradcheck(penalty, field.clone().requires_grad_())
    halves = [float(penalty(part)) for part in field]
    assert float(penalty(field)) == pytest.approx(np.mean(halves))
    assert bool(torch.isfinite(penalty(field[..., :1, :, :])))


@pytest.mark.parametrize("border", list(Border))
@pytest.mark.parametrize("shape", [(2, 5, 6, 4), (1, 1, 2, 7)])
def test_box_means_are_scipys_and_know_their_gradient(shape, border: Border) -> None:
    volume = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    expected = volume.numpy()
    for _ in range(3):
        mode = "nearest" if border is Border.REPLICATE else "constant"
        expected = np.stack([ndimage.uniform_filter(c, 3, mode=mode) for c in expected])
    np.testing.assert_allclose(box_smooth(volume, 3, border).numpy(), expected, atol=1e-12)
    assert torch.autograd.gradcheck(lambda v: box_smooth(v, 2, border), volume.requires_grad_())
