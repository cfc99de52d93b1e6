"""The levels of a solve on a GPU: the host neither reads from it nor feeds it, and results are those of the processor.

Tensors without numbers (device "meta") take the path of plain torch on a GPU, which no number can leave.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from device_work import LeftTheDevice, OnDevice
from solver_images import textured
from torch import Tensor
from VoxelOptRegistrationLib.errors import ComputationError
from VoxelOptRegistrationLib.fields import algebra
from VoxelOptRegistrationLib.kernels.runtime import SWITCH
from VoxelOptRegistrationLib.options import Border, EntropyScale, Smoothing, Ties, VoxelOptOptions
from VoxelOptRegistrationLib.solvers import driver, voxelopt
from VoxelOptRegistrationLib.solvers.candidates import candidate_displacements
from VoxelOptRegistrationLib.solvers.coupling import best_displacement, longest_component
from VoxelOptRegistrationLib.solvers.driver import Level, build_pyramid, coarse_to_fine, known_level, warped_level
from VoxelOptRegistrationLib.solvers.entropy import scaled_entropy
from VoxelOptRegistrationLib.solvers.pyramid import plan_levels, upsample_displacement
from VoxelOptRegistrationLib.solvers.subvoxel import subvoxel_step
from VoxelOptRegistrationLib.solvers.voxelopt import level_step, solve

SHAPE = (16, 32, 16)
OPTIONS = {
    "default": VoxelOptOptions(),
    "wide": VoxelOptOptions(search_radius=2, border=Border.ZERO, smoothing=Smoothing.ISOTROPIC),
    "ties": VoxelOptOptions(ties=Ties.SUM, entropy_scale=EntropyScale.VOLUME, low_pass=False),
    "paper": VoxelOptOptions(**{**VoxelOptOptions.paper().__dict__, "levels": 3}),
}


@pytest.fixture(autouse=True)
def plain_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "torch")


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor's numbers are not read."""
    for module in (algebra, driver, voxelopt):
        monkeypatch.setattr(module, "reads_freely", lambda tensor: False)


@pytest.mark.parametrize(
    ("name", "trusted", "device"),
    [
        *[("default", trusted, "meta") for trusted in ((False, False), (False, True))],
        *[(name, (True, True), device) for name in OPTIONS for device in ("meta", "cpu")],
    ],
)
def test_no_level_reads_from_the_device_or_feeds_it(
    as_on_a_gpu: None, name: str, trusted: tuple[bool, bool], device: str
) -> None:
    few = {"levels": 2, "couplings": (0.1, 1.0), "passes": 1, "prefilter_passes": 1}
    options = dataclasses.replace(OPTIONS[name], **few)
    volume = torch.ones(1, *SHAPE, device=device)
    trusts = [torch.ones(SHAPE, dtype=torch.bool, device=device) if given else None for given in trusted]
    candidates = candidate_displacements(options.search_radius, device)
    plan = plan_levels(SHAPE, options)
    with OnDevice(device) as watch:
        fixed, moving = (build_pyramid(volume, trust, plan, options) for trust in trusts)

        def step(_: int, target: Level, source: Level) -> Tensor:
            return level_step(target, source, candidates, options)

        field = coarse_to_fine(fixed, moving, plan, step, options, options.border, lambda *level: None)
        moved = warped_level(moving[0], field, options.border)
        subvoxel_step(fixed[0], moved, options, lambda: None)
    assert field.shape == (3, *SHAPE)
    assert watch.launches["exp_"] == 3  # the weights of each step's filter: all of it was watched


@pytest.mark.parametrize(
    ("device", "work"),
    [
        ("cpu", lambda volume: torch.tensor([1.0, 2.0])),  # torch shows it on the processor alone
        ("cpu", lambda volume: volume.nonzero()),
        ("cpu", lambda volume: volume[volume > 0]),
        ("cpu", lambda volume: volume[0].item()),
        ("cpu", lambda volume: torch.equal(volume, volume + 1)),
        ("meta", lambda volume: torch.arange(3.0).to(volume.device)),
        ("meta", lambda volume: volume + torch.ones(())),
        ("meta", lambda volume: bool(volume.any())),
        ("meta", lambda volume: float(volume.abs().max())),
    ],
)
def test_the_watch_sees_what_leaves_the_device(device: str, work: Callable[[Tensor], object]) -> None:
    volume = torch.ones(5, device=device)
    with OnDevice(device), pytest.raises(LeftTheDevice):
        work(volume)


def test_the_watch_counts_launches() -> None:
    volume = torch.ones(2, 3)
    with OnDevice("cpu") as watch:
        torch.add(volume[0], volume.T[:, 1], out=torch.empty(3))
        volume.view(-1)[2:].mul_(2.0)
    assert watch.launches == {"add": 1, "mul_": 1}


@pytest.mark.parametrize("name", ["default", "paper"])
def test_a_solve_without_reading_finds_the_same(name: str, request: pytest.FixtureRequest) -> None:
    trust = torch.ones(SHAPE, dtype=torch.bool)
    trust[3:7, :9] = False
    pair = textured(2, SHAPE, 1), textured(2, SHAPE, 2)
    found = solve(*pair, OPTIONS[name], moving_trust=trust).displacement
    assert found.abs().max() > 0.5
    request.getfixturevalue("as_on_a_gpu")
    assert torch.equal(solve(*pair, OPTIONS[name], moving_trust=trust).displacement, found)


@pytest.mark.parametrize("name", ["wide", "ties"])
def test_a_step_without_reading_is_as_exact(name: str, request: pytest.FixtureRequest) -> None:
    options = OPTIONS[name]
    levels = [known_level(textured(2, SHAPE, seed), None) for seed in (1, 2)]
    candidates = candidate_displacements(options.search_radius)
    exact = level_step(*levels, candidates, dataclasses.replace(options, squarings=12))
    errors = [(level_step(*levels, candidates, options) - exact).norm(dim=0).mean()]
    request.getfixturevalue("as_on_a_gpu")
    errors.append((level_step(*levels, candidates, options) - exact).norm(dim=0).mean())
    assert 0 < errors[1] <= errors[0]


def test_exact_zeros_without_reading(as_on_a_gpu: None) -> None:
    for features in (textured(3, SHAPE, 1), torch.full((3, *SHAPE), 7.3)):
        found = solve(features, features.clone(), VoxelOptOptions()).displacement
        assert torch.equal(found, torch.zeros(3, *SHAPE))


@pytest.mark.parametrize("border", list(Border))
def test_a_level_pulled_by_nothing_is_the_same_to_the_last_bit(as_on_a_gpu: None, border: Border) -> None:
    trust = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) > 0.3
    level, nowhere = known_level(textured(2, SHAPE, 1), trust), torch.zeros(3, *SHAPE)
    pulled = warped_level(level, nowhere, border)
    assert torch.equal(pulled.features, level.features) and pulled.trust is not None
    assert torch.equal(pulled.trust, trust)
    nowhere[0, 2, 3, 4] = 0.5
    assert not torch.equal(warped_level(level, nowhere, border).features, level.features)


def test_a_field_that_is_not_finite_is_refused(as_on_a_gpu: None) -> None:
    spoilt = textured(1, SHAPE, 1)
    spoilt[0, 4:12, 8:24, 4:12] = math.nan
    with pytest.raises(ComputationError, match="not finite"):
        solve(spoilt, textured(1, SHAPE, 2), VoxelOptOptions(inverse_consistency=False, invertible=False))


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_candidates_stand_by_length_then_place(radius: int) -> None:
    axis = torch.arange(-radius, radius + 1)
    everything = torch.cartesian_prod(axis, axis, axis)
    order = torch.argsort(everything.square().sum(dim=1), stable=True)
    assert torch.equal(candidate_displacements(radius), everything[order].float())


@pytest.mark.parametrize("radius", [1, 2])
def test_no_displacement_is_longer_than_the_longest(radius: int) -> None:
    candidates = candidate_displacements(radius)
    ahead = (candidates[:, 0] > 0).float()[:, None, None, None].expand(-1, 2, 2, 2).contiguous()
    for ties in Ties:
        reached = best_displacement(ahead, candidates, ties).abs().max()
        assert reached <= longest_component(radius, ties)
    assert reached == longest_component(radius, Ties.SUM)


def test_entropy_of_a_volume_without_extremes() -> None:
    assert torch.equal(scaled_entropy(torch.full((2, 3, 4), 0.7), 27, EntropyScale.VOLUME), torch.ones(2, 3, 4))
    ramp = torch.arange(24.0).view(2, 3, 4)
    assert torch.equal(scaled_entropy(ramp.clone(), 27, EntropyScale.VOLUME), ramp / 23.0)


def test_a_displacement_goes_up_by_the_ratio_of_each_axis() -> None:
    options = VoxelOptOptions(low_pass=False)
    fine = upsample_displacement(torch.ones(3, 4, 5, 8), (8, 11, 8), (True, True, False), options)
    expected = torch.tensor([7 / 3, 10 / 4, 1.0]).view(3, 1, 1, 1).expand(3, 8, 11, 8)
    torch.testing.assert_close(fine, expected, rtol=1e-6, atol=0)
