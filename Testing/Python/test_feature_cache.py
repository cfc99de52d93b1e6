"""The cache of feature maps: what hits, what misses, and that no state of the folder is ever a reason to fail."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_images import textured
from torch import Tensor, nn
from VoxelOptRegistrationLib.features.cache import Cached, FeatureCache, cache_folder, remembering
from VoxelOptRegistrationLib.features.extractor import NetworkInput
from VoxelOptRegistrationLib.features.extractors import make_extractor
from VoxelOptRegistrationLib.options import Alignment, FeatureOptions, GridOptions, Settings
from VoxelOptRegistrationLib.pipeline import Inputs, register
from VoxelOptRegistrationLib.progress import Watcher

IMAGE = textured(1, (8, 9, 10), 0)[0]


@dataclass
class Counting:
    """An extractor that counts how often it had to work."""

    identity: str = "counting"
    channels: int = 2
    input: NetworkInput | None = NetworkInput(1.0, "RAS")
    calls: list[int] = field(default_factory=list)

    def __call__(self, image: Tensor, trust: Tensor | None = None, checkpoint: object = None) -> Tensor:
        self.calls.append(1)
        return torch.stack([image, image * 2])


def cached(folder: Path, counting: Counting, limit: int = 10**9) -> Cached:
    return Cached(counting, FeatureCache(folder, limit))


def test_the_second_time_nothing_is_computed(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    made = cached(tmp_path, first)(IMAGE)
    kept = cached(tmp_path, second)(IMAGE)
    assert (len(first.calls), len(second.calls)) == (1, 0)
    assert torch.equal(made, kept) and kept.dtype == torch.float32


@pytest.mark.parametrize("change", ["voxel", "identity", "trust", "shape", "channels"])
def test_anything_that_decides_the_features_makes_them_anew(change: str, tmp_path: Path) -> None:
    cached(tmp_path, Counting())(IMAGE)
    image, trust = IMAGE.clone(), None
    counting = Counting(identity="another" if change == "identity" else "counting")
    if change == "voxel":
        image[3, 4, 5] += 1e-6
    elif change == "trust":
        trust = torch.ones(IMAGE.shape, dtype=torch.bool)
    elif change == "shape":
        image = image.reshape(9, 8, 10)
    elif change == "channels":
        counting.channels = 3
    cached(tmp_path, counting)(image, trust)
    assert len(counting.calls) == 1


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["cut", "flip", "empty", "text"]), st.floats(0, 0.999))
def test_a_damaged_file_is_a_miss_and_is_replaced(
    tmp_path_factory: pytest.TempPathFactory, kind: str, where: float
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    made = cached(folder, Counting())(IMAGE)
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    at = int(where * len(content))
    if kind == "cut":
        content = content[:at]
    elif kind == "flip":
        content[at] ^= 0xFF
    path.write_bytes({"empty": b"", "text": b"features"}.get(kind, bytes(content)))
    # Bytes that the archive does not use (dates, for one) may change: what counts is that no wrong features come back.
    assert torch.equal(cached(folder, Counting())(IMAGE), made)
    again = Counting()
    assert torch.equal(cached(folder, again)(IMAGE), made) and not again.calls


def test_what_was_unused_for_longest_goes_first(tmp_path: Path) -> None:
    size = 2 * IMAGE.numel() * 4
    cache = FeatureCache(tmp_path, int(2.5 * (size + 400)))
    maps = torch.zeros(2, *IMAGE.shape)
    for moment, key in enumerate(("a", "b")):
        assert cache.store(key, maps)
        os.utime(tmp_path / f"{key}.features", (1000 + moment, 1000 + moment))
    assert cache.load("a") is not None  # now b is the older one
    assert cache.store("c", maps)
    assert {path.stem for path in tmp_path.iterdir()} == {"a", "c"}
    assert cache.load("b") is None


def test_maps_larger_than_the_folder_may_be_are_not_kept(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert not FeatureCache(folder, 100).store("a", torch.zeros(2, 10, 10, 10))
    assert not folder.exists()


def test_leftovers_of_killed_processes_go_and_fresh_ones_stay(tmp_path: Path) -> None:
    old, fresh, foreign = (tmp_path / name for name in ("old.part", "fresh.part", "notes.txt"))
    for path in (old, fresh, foreign):
        path.write_text("x")
        os.utime(path, (time.time() - 7200,) * 2)
    os.utime(fresh)
    FeatureCache(tmp_path, 10**9).store("a", IMAGE[None])
    assert not old.exists() and fresh.exists() and foreign.exists()


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_others_cannot_look_into_the_folder(tmp_path: Path) -> None:
    FeatureCache(tmp_path / "cache", 10**9).store("a", IMAGE[None])
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    (file,) = (tmp_path / "cache").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    counting = Counting()
    extractor = cached(tmp_path / "file" / "cache", counting)
    for _ in range(2):
        assert torch.equal(extractor(IMAGE)[0], IMAGE)
    assert len(counting.calls) == 2


def test_two_writers_of_one_key_leave_one_whole_file(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, 10**9)
    for _ in range(2):
        assert cache.store("a", IMAGE[None])
    assert [path.name for path in tmp_path.iterdir()] == ["a.features"]
    loaded = cache.load("a")
    assert loaded is not None and torch.equal(loaded[0], IMAGE)


@pytest.mark.parametrize(
    ("choice", "network", "kept"),
    [("auto", True, True), ("auto", False, False), ("all", False, True), ("off", True, False)],
)
def test_networks_are_remembered_unless_told_otherwise(
    choice: str, network: bool, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    counting = Counting(input=NetworkInput(1.0, "RAS") if network else None)
    extractor = remembering(counting, FeatureOptions(cache=choice), lambda hit: None)
    assert (extractor is not counting) == kept


def test_platforms_keep_caches_where_they_belong() -> None:
    home = {"HOME": "/home/ann", "USERPROFILE": "C:/Users/ann"}
    assert cache_folder(home, "linux") == Path("/home/ann/.cache/VoxelOptRegistration")
    assert cache_folder({**home, "XDG_CACHE_HOME": "/fast"}, "linux") == Path("/fast/VoxelOptRegistration")
    assert cache_folder(home, "darwin") == Path("/home/ann/Library/Caches/VoxelOptRegistration")
    windows = {**home, "LOCALAPPDATA": "C:/Users/ann/AppData/Local"}
    assert cache_folder(windows, "win32") == Path("C:/Users/ann/AppData/Local/VoxelOptRegistration/Cache")


class Twice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, 1 - x], 1)


def test_a_second_registration_of_a_volume_skips_its_extraction(tmp_path: Path) -> None:
    """Against another volume, aligned otherwise and with another solver: the fixed volume's maps are the same ones."""
    torch.jit.script(Twice()).save(str(tmp_path / "net.pt"))
    declared = {"file": "net.pt", "channels": 2, "spacing_mm": 1.0, "window": [0, 1], "tile": [32, 32, 32]}
    (tmp_path / "net.json").write_text(json.dumps(declared))
    folder = tmp_path / "cache"
    features = FeatureOptions(name="network", weights=str(tmp_path / "net.json"), cache=str(folder))
    chosen = Settings(device="cpu", align=Alignment.NONE, grid=GridOptions(max_voxels=20_000), features=features)
    texture = textured(1, (20, 21, 22), 0)[0].numpy()
    volumes = [sitk.GetImageFromArray(np.roll(texture, shift, 2)) for shift in range(3)]
    log: list[str] = []

    def run(fixed: int, moving: int, align: Alignment = Alignment.NONE) -> np.ndarray:
        log.clear()
        settings = Settings(chosen.preset, align=align, device="cpu", grid=chosen.grid, features=features)
        return register(Inputs(volumes[fixed], volumes[moving]), settings, Watcher(log=log.append)).displacement

    def hits() -> int:
        return sum("cache" in line for line in log)

    first = run(0, 1)
    assert hits() == 0 and len(list(folder.iterdir())) == 2
    run(0, 2, Alignment.CENTRE)
    assert hits() == 1
    run(2, 0)
    assert hits() == 2
    again = run(0, 1)
    assert hits() == 2
    np.testing.assert_array_equal(again, first)


def test_mind_can_be_remembered_too(tmp_path: Path) -> None:
    options = FeatureOptions(cache=str(tmp_path))
    extractor = make_extractor(options)
    assert extractor is not None
    seen: list[bool] = []
    for _ in range(2):
        features = remembering(extractor, options, seen.append)(IMAGE)
        assert torch.equal(features, extractor(IMAGE))
    assert seen == [False, True]
