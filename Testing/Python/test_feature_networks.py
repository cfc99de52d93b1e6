"""Any network by its declaration: TorchScript and exported programs, tiles, axes in space, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_images import textured
from torch import Tensor, nn
from VoxelOptRegistrationLib.comparison import network_features
from VoxelOptRegistrationLib.devices import choose_device
from VoxelOptRegistrationLib.errors import ComputationError, InputError
from VoxelOptRegistrationLib.features.declared_network import DeclaredNetwork
from VoxelOptRegistrationLib.features.tiling import tiled
from VoxelOptRegistrationLib.images.grid import Grid


class Gradient(nn.Module):
    """The image and its forward differences along the three axes; `stride` gives them on a coarser grid."""

    def __init__(self, stride: int = 1, fault: str = "") -> None:
        super().__init__()
        self.stride, self.fault = stride, fault

    def forward(self, x: Tensor) -> Tensor:
        ends = torch.nn.functional.pad(x, [0, 1, 0, 1, 0, 1], mode="replicate")
        inner = ends[:, :, :-1, :-1, :-1]
        parts = [inner, ends[:, :, 1:, :-1, :-1], ends[:, :, :-1, 1:, :-1], ends[:, :, :-1, :-1, 1:]]
        result = torch.cat([parts[0], parts[1] - inner, parts[2] - inner, parts[3] - inner], 1)
        if self.fault == "nan":
            result = result / torch.zeros_like(result)
        if self.stride > 1:
            result = torch.nn.functional.avg_pool3d(result, self.stride)
        return result


TILE = [16, 16, 16]
DECLARED = {"channels": 4, "spacing_mm": 1.0, "window": [0, 1], "tile": TILE}


def declare(folder: Path, network: nn.Module, kind: str = "script", **entries: Any) -> Path:
    """The network saved and declared; the path of its JSON file."""
    name = "network.pt2" if kind == "export" else "network.pt"
    if kind == "export":
        torch.export.save(torch.export.export(network, (torch.zeros(1, 1, *TILE),)), folder / name)
    else:
        torch.jit.script(network).save(str(folder / name))
    path = folder / "network.json"
    path.write_text(json.dumps({"file": name, **DECLARED, **entries}))
    return path


def differences(image: Tensor) -> Tensor:
    """What `Gradient` is to compute, with numpy."""
    array = image.double().numpy()
    steps = [np.diff(array, axis=a, append=np.take(array, [-1], a)) for a in range(3)]
    return torch.from_numpy(np.stack([array, *steps])).float()


@pytest.mark.parametrize("kind", ["script", "export"])
@pytest.mark.parametrize("shape", [(16, 16, 16), (30, 9, 21)])
def test_the_network_is_applied_tile_by_tile(kind: str, shape: tuple[int, int, int], tmp_path: Path) -> None:
    """Whatever the volume's size, an exported program of a fixed size can be used; tiles agree where they overlap."""
    network = DeclaredNetwork.read(declare(tmp_path, Gradient(), kind))
    image = textured(1, shape, 0)[0]
    features = network(image)
    assert features.shape == (network.channels, *shape)
    inside = (slice(None), *(slice(0, n - 1) for n in shape))
    # The last voxel of a tile has no neighbour: its difference is 0, weighted little, but not nothing.
    torch.testing.assert_close(features[0], differences(image)[0])
    error = (features - differences(image))[inside].abs()
    assert float(error.median()) < 1e-6 and float(error.mean()) < 0.01 * float(differences(image)[1:].abs().mean())


def test_the_window_is_mapped_to_zero_and_one(tmp_path: Path) -> None:
    network = DeclaredNetwork.read(declare(tmp_path, Gradient(), window=[-500, 800]))
    image = torch.tensor([-3000.0, -500.0, 150.0, 800.0, 3000.0]).repeat(4)[None, None].expand(16, 16, 20)
    expected = torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]).repeat(4)
    torch.testing.assert_close(network(image)[0, 3, 3], expected)


def test_coarse_feature_maps_are_brought_back(tmp_path: Path) -> None:
    network = DeclaredNetwork.read(declare(tmp_path, Gradient(stride=2)))
    ramp = torch.linspace(0, 1, 16).view(16, 1, 1).expand(16, 16, 16)
    torch.testing.assert_close(network(ramp)[0, 1:-1], ramp[1:-1])


@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(*[st.integers(3, 40)] * 3),
    tile=st.tuples(*[st.integers(4, 12)] * 3),
    overlap=st.integers(0, 8),
    exact=st.booleans(),
)
def test_tiles_cover_everything_and_are_never_larger(shape, tile, overlap, exact) -> None:
    image = textured(1, shape, 1)[0]
    seen: list[tuple[int, ...]] = []

    def network(part: Tensor) -> Tensor:
        seen.append(tuple(part.shape))
        return torch.stack([part, 3 * part + 1])

    result = tiled(network, image, tile, overlap, exact)
    torch.testing.assert_close(result, torch.stack([image, 3 * image + 1]))
    assert all(n <= side for part in seen for n, side in zip(part, tile, strict=True))
    assert not exact or set(seen) == {tile}


def scan(direction: np.ndarray, size: tuple[int, int, int] = (22, 26, 30)) -> sitk.Image:
    """A smooth volume with these axes; voxels of 2 x 1.5 x 2.5 mm."""
    image = sitk.GetImageFromArray(textured(1, size[::-1], 7)[0].numpy())
    image.SetSpacing((2.0, 1.5, 2.5))
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin((-30.0, 12.0, 55.0))
    return image


TILTED = np.array([[0.0, -0.98, 0.199], [0.0, 0.199, 0.98], [-1.0, 0.0, 0.0]])
"""A sagittal stack: columns run inferiorly, rows mostly to the right."""


def seen(image: sitk.Image, network: DeclaredNetwork) -> np.ndarray:
    """The network's features on the volume's own grid."""
    identity = sitk.Transform(3, sitk.sitkIdentity)
    device = choose_device("cpu")
    return network_features(image, network, Grid.of(image), identity, device, lambda: None).numpy()


INSIDE = (slice(5, -5),) * 3
DIRECTIONS = [np.eye(3), np.diag([-1.0, -1.0, 1.0]), TILTED]


@pytest.mark.parametrize("axes", ["RAS", "SPL", ""])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_features_land_where_they_belong(axes: str, direction: np.ndarray, tmp_path: Path) -> None:
    """Channel 0 is the image: whatever way round the network saw it, it comes back to where it was."""
    network = DeclaredNetwork.read(declare(tmp_path, Gradient(), axes=axes, spacing_mm=1.2, tile=[48, 48, 48]))
    image = sitk.SmoothingRecursiveGaussian(scan(direction), 5.0)
    image = sitk.RescaleIntensity(image, 0.0, 1.0)
    expected = sitk.GetArrayFromImage(image)
    error = (seen(image, network)[0] - expected)[INSIDE].ravel()
    slopes = np.stack([slope[INSIDE].ravel() for slope in np.gradient(expected)])
    # Smoothing changes values, but only a misplacement goes with the slopes: in voxels, by least squares.
    misplaced, *_ = np.linalg.lstsq(slopes.T, error, rcond=None)
    assert np.abs(misplaced).max() < 0.05


@pytest.mark.parametrize("axes", ["RAS", "SPL", "LPI"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_array_axes_point_where_the_declaration_says(axes: str, direction: np.ndarray, tmp_path: Path) -> None:
    """Of a volume that brightens towards one side, only the slope along the axis that points there is steep."""
    towards = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    network = DeclaredNetwork.read(declare(tmp_path, Gradient(), axes=axes, spacing_mm=2.0, tile=[40, 40, 40]))
    image = scan(direction)
    grid = Grid.of(image)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.size_zyx), indexing="ij")[::-1], -1)
    for channel, letter in enumerate(axes):
        bright = index @ grid.index_to_world[:3, :3].T @ towards[letter]
        ramp = sitk.GetImageFromArray(((bright - bright.min()) / np.ptp(bright)).astype(np.float32))
        ramp.CopyInformation(image)
        slopes = seen(ramp, network)[1:][(slice(None), *INSIDE)].mean(axis=(1, 2, 3))
        assert slopes[channel] > 4 * np.abs(np.delete(slopes, channel)).max()


@settings(max_examples=20, deadline=None)
@given(st.permutations("RAS"), st.tuples(*[st.booleans()] * 3), st.integers(0, 100))
def test_reoriented_grids_hold_the_same_points(letters: list[str], flips: tuple[bool, ...], seed: int) -> None:
    axes = "".join({"R": "L", "A": "P", "S": "I"}[a] if flip else a for a, flip in zip(letters, flips, strict=True))
    random = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(random.normal(size=(3, 3)))
    grid = Grid.of(scan(rotation))
    turned = grid.reoriented(axes)
    corners = [np.array([[x, y, z] for x in (0, g.size_xyz[0] - 1) for y in (0, g.size_xyz[1] - 1)
                         for z in (0, g.size_xyz[2] - 1)]) @ g.index_to_world[:3, :3].T + g.index_to_world[:3, 3]
               for g in (grid, turned)]  # fmt: skip
    order = [np.lexsort(np.round(c, 6).T) for c in corners]
    np.testing.assert_allclose(corners[0][order[0]], corners[1][order[1]], atol=1e-9)
    again = turned.reoriented(axes)
    np.testing.assert_allclose(again.index_to_world, turned.index_to_world)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"channels": 0}, "channels"),
        ({"channels": 5}, "channels"),
        ({"spacing_mm": "fine"}, "spacing_mm"),
        ({"window": [800, -500]}, "window"),
        ({"axes": "RAL"}, "axes"),
        ({"tile": [4, 4]}, "tile"),
        ({"colour": "blue"}, "colour"),
        ({"file": "gone.pt"}, "gone.pt"),
        ({"file": "network.json"}, "TorchScript"),
    ],
)
def test_wrong_declarations_name_the_entry(entries: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = declare(tmp_path, Gradient(), **entries)
    with pytest.raises(InputError) as refused:
        DeclaredNetwork.read(path)(torch.zeros(16, 16, 16))
    assert said in str(refused.value) and refused.value.remedy and "\n" not in str(refused.value)


@pytest.mark.parametrize("missing", ["file", "channels", "spacing_mm", "window"])
def test_what_the_declaration_lacks_is_named(missing: str, tmp_path: Path) -> None:
    path = declare(tmp_path, Gradient())
    content = json.loads(path.read_text())
    del content[missing]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=missing):
        DeclaredNetwork.read(path)


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"PK\x03\x04\xff\xfe"])
def test_another_file_than_a_declaration_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"network\.json"):
        DeclaredNetwork.read(path)
    with pytest.raises(InputError, match="no network declaration"):
        DeclaredNetwork.read(tmp_path / "gone.json")


@pytest.mark.parametrize("name", ["network.pt", "network.pt2"])
def test_a_damaged_network_is_refused(name: str, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    path = declare(tmp_path, Gradient(), file=name)
    (tmp_path / name).write_bytes(b"PK\x03\x04" + bytes(200))
    with pytest.raises(InputError, match="cannot be loaded"):
        DeclaredNetwork.read(path)


def test_an_exported_program_of_another_size_is_told(tmp_path: Path) -> None:
    network = DeclaredNetwork.read(declare(tmp_path, Gradient(), "export", tile=[24, 16, 16]))
    with pytest.raises(InputError, match="24 x 16 x 16") as refused:
        network(torch.zeros(24, 16, 16))
    assert "tile" in refused.value.remedy


def test_numbers_that_are_not_finite_are_told(tmp_path: Path) -> None:
    network = DeclaredNetwork.read(declare(tmp_path, Gradient(fault="nan")))
    with pytest.raises(ComputationError, match="not finite"):
        network(torch.zeros(16, 16, 16))
