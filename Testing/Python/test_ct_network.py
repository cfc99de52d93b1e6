"""The CT network: the released outputs, its literal twin, checkpoints of every kind, memory."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from literal_universal_unet import LiteralUNet, seeded_network, write_checkpoint
from solver_images import textured
from torch import Tensor
from VoxelOptRegistrationLib.errors import Cancelled, ComputationError, InputError
from VoxelOptRegistrationLib.features import streaming
from VoxelOptRegistrationLib.features.extractors import make_extractor
from VoxelOptRegistrationLib.features.universal_unet import UniversalUNet, parameter_shapes, unet_features
from VoxelOptRegistrationLib.features.weight_files import FOLDER_VARIABLE
from VoxelOptRegistrationLib.options import FeatureOptions, Statistics

SHAPE = (16, 24, 8)


@pytest.fixture(scope="module")
def network() -> LiteralUNet:
    return seeded_network()


@pytest.fixture(scope="module")
def checkpoint(network: LiteralUNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "unet.pth", network)


@pytest.fixture(scope="module")
def ours(checkpoint: Path) -> UniversalUNet:
    return UniversalUNet.read(checkpoint, Statistics.VOLUME)


def literal(network: LiteralUNet, image: Tensor) -> Tensor:
    with torch.no_grad():
        return network(image[None, None])[0]


def test_the_released_outputs_are_reproduced(shared_folder: Path, ours: UniversalUNet) -> None:
    golden = np.load(shared_folder / "golden" / "universal_unet_golden.npz")
    features = unet_features(torch.from_numpy(golden["input"]), ours.parameters, torch.float32)
    assert float((features - torch.from_numpy(golden["output"])).abs().max()) < 1e-4


def test_the_checkpoint_layout_is_the_released_one(shared_folder: Path) -> None:
    layout = json.loads((shared_folder / "golden" / "universal_unet_checkpoint.json").read_text())["layout"]
    plain = {name.removeprefix("module.").removeprefix("backbone."): tuple(shape) for name, shape in layout.items()}
    running = ("running_mean", "running_var", "num_batches_tracked")
    assert parameter_shapes() == {name: shape for name, shape in plain.items() if not name.endswith(running)}


@pytest.mark.parametrize("rows", [2, 6, 1000])
def test_a_few_rows_at_a_time_give_what_the_whole_gives(
    network: LiteralUNet, ours: UniversalUNet, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = textured(1, SHAPE, 1)[0]
    monkeypatch.setattr(streaming, "_ROW_VOXELS", rows * SHAPE[1] * SHAPE[2])
    features = unet_features(image, ours.parameters, torch.float32)
    torch.testing.assert_close(features, literal(network, image), atol=1e-4, rtol=0)


def test_half_precision_storage_stays_close(network: LiteralUNet, ours: UniversalUNet) -> None:
    image = textured(1, SHAPE, 2)[0]
    features = unet_features(image, ours.parameters, torch.float16)
    expected = literal(network, image)
    assert features.dtype == torch.float32
    assert 0 < float((features - expected).abs().mean()) < 0.01 * float(expected.std())


def test_sides_that_cannot_be_halved_are_continued(network: LiteralUNet, ours: UniversalUNet) -> None:
    image = textured(1, (13, 9, 11), 3)[0]
    whole = torch.nn.functional.pad(image[None, None], (0, 5, 0, 7, 0, 3), mode="replicate")[0, 0]
    features = unet_features(image, ours.parameters, torch.float32)
    torch.testing.assert_close(features, literal(network, whole)[:, :13, :9, :11], atol=1e-4, rtol=0)


def test_hounsfield_units_are_windowed(network: LiteralUNet, ours: UniversalUNet) -> None:
    image = textured(1, (16, 8, 16), 4)[0]
    scan = image * 1300 - 500
    scan[image == image.max()] = 3000
    scan[image == image.min()] = -2048
    expected = image.clone()
    expected[image == image.max()], expected[image == image.min()] = 1, 0
    torch.testing.assert_close(ours(scan), literal(network, expected), atol=2e-4, rtol=0)


def test_tiles_normalise_by_themselves_and_are_blended(network: LiteralUNet, ours: UniversalUNet, monkeypatch) -> None:
    from VoxelOptRegistrationLib.features import universal_unet

    monkeypatch.setattr(universal_unet, "TILE", 16)
    monkeypatch.setattr(universal_unet, "OVERLAP", 8)
    image = textured(1, (24, 16, 16), 5)[0]
    tiles = UniversalUNet(ours.parameters, Statistics.TILE, "")(image * 1300 - 500)
    first, second = literal(network, image[:16]), literal(network, image[8:])
    torch.testing.assert_close(tiles[:, :8], first[:, :8], atol=1e-3, rtol=0)
    torch.testing.assert_close(tiles[:, 16:], second[:, 8:], atol=1e-3, rtol=0)
    # Across the overlap the first tile fades out as the second fades in.
    fade = ((torch.arange(8) + 0.5) / 8).view(8, 1, 1)
    between = first[:, 8:] * (1 - fade) + second[:, :8] * fade
    torch.testing.assert_close(tiles[:, 8:16], between, atol=1e-3, rtol=0)


def test_single_then_half_precision_then_a_remedy(ours: UniversalUNet) -> None:
    image = torch.zeros(20, 20, 20)
    stored, always = 4 * 160 * image.numel(), 640 * 2**20
    single, half = stored + always, stored // 2 + always
    for memory, kept in ((single, torch.float32), (single - 1, torch.float16), (half, torch.float16)):
        assert UniversalUNet(ours.parameters, Statistics.VOLUME, "", memory)._precision(image) == kept
    with pytest.raises(ComputationError, match="GiB are free") as refused:
        UniversalUNet(ours.parameters, Statistics.VOLUME, "", half - 1)(image)
    assert "features.statistics=tile" in refused.value.remedy


def test_it_can_be_cancelled(ours: UniversalUNet) -> None:
    def stop() -> None:
        raise Cancelled()

    with pytest.raises(Cancelled):
        ours(torch.zeros(8, 8, 8), None, stop)


@pytest.mark.parametrize("how", ["file", "folder", "environment"])
def test_the_checkpoint_is_found(checkpoint: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {"file": str(checkpoint), "folder": str(checkpoint.parent), "environment": None}[how]
    if how == "environment":
        monkeypatch.setenv(FOLDER_VARIABLE, str(checkpoint.parent))
    extractor = make_extractor(FeatureOptions(name="ct-unet", weights=weights))
    assert extractor is not None and extractor.channels == 8
    assert extractor.input is not None and extractor.input.spacing == 2.0


@pytest.mark.parametrize("weights", [None, "missing.pth"])
def test_without_a_checkpoint_the_error_says_where_it_comes_from(
    weights: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    with pytest.raises(InputError, match="checkpoint") as refused:
        make_extractor(FeatureOptions(name="ct-unet", weights=weights))
    assert "unet.pth" in refused.value.remedy and "tinymilky/VoxelOpt" in refused.value.remedy


class Intruder:
    """Unpickling it would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.write_text, (self.target, "intruded"))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("code", "more than weights"),
        ("old code", "more than weights"),
        ("text", "."),
        ("cut", "cannot be read"),
        ("list", "no dictionary"),
        ("missing", "has no down_tr64.ops.0.conv1.weight"),
        ("other", "32 x 1 x 5 x 5 x 5 instead of 32 x 1 x 3 x 3 x 3"),
        ("damaged", "not finite"),
    ],
)
def test_wrong_files_are_refused_and_never_run(
    kind: str, words: str, network: LiteralUNet, checkpoint: Path, tmp_path: Path
) -> None:
    path, target = tmp_path / "wrong.pth", tmp_path / "intruded"
    state = dict(network.state_dict())
    first = "backbone.down_tr64.ops.0.conv1.weight"
    if kind == "code":
        torch.save({"net": state, "extra": Intruder(target)}, path)
    elif kind == "old code":
        path.write_bytes(pickle.dumps(Intruder(target)))
    elif kind == "text":
        path.write_text("not a checkpoint")
    elif kind == "cut":
        content = checkpoint.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif kind == "list":
        torch.save([1, 2, 3], path)
    else:
        if kind == "missing":
            del state[first]
        elif kind == "other":
            state[first] = torch.zeros(32, 1, 5, 5, 5)
        else:
            state[first] = torch.full((32, 1, 3, 3, 3), float("nan"))
        torch.save(state, path)
    with pytest.raises(InputError, match="wrong.pth") as refused:
        UniversalUNet.read(path, Statistics.VOLUME)
    assert words in refused.value.text and "\n" not in str(refused.value)
    assert not target.exists()
