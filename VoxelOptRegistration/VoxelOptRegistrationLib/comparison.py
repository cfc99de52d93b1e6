"""What the solver compares: both volumes on the working grid, as feature maps and where they can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from .devices import Device
from .errors import InputError
from .features.cache import remembering
from .features.extractor import Extractor
from .features.extractors import make_extractor
from .features.label_maps import combined
from .images.grid import Grid
from .images.label_channels import LabelSets, label_channels
from .images.resampling import sample_mask, sample_values, sample_volume
from .options import FeatureOptions
from .progress import Watcher
from .registration import Inputs


@dataclass(frozen=True)
class Sampled:
    """A volume on the working grid, float32 (Z, Y, X), and where it may be compared, bool; None for everywhere."""

    values: Tensor
    trust: Tensor | None


@dataclass(frozen=True)
class Comparison:
    """How two volumes are compared. extractor: of their own features, None for labels alone; labels: None without."""

    options: FeatureOptions
    extractor: Extractor | None
    labels: LabelSets | None

    @classmethod
    def plan(
        cls, inputs: Inputs, options: FeatureOptions, available_bytes: int, log: Callable[[str], None]
    ) -> Comparison:
        """What `options` ask for, of checked `inputs`; raises `InputError` where a network's file or labels lack."""
        extractor = make_extractor(options, available_bytes)
        if extractor is not None:
            extractor = remembering(extractor, options, lambda hit: log(_FROM_CACHE) if hit else None)
        if not options.uses_labels:
            return cls(options, extractor, None)
        if inputs.fixed_labels is None or inputs.moving_labels is None:
            raise InputError(
                f"The features {options.name!r} need labels of both volumes.",
                "Give a segmentation of each, or choose other features.",
            )
        sets = LabelSets.of(inputs.fixed_labels, inputs.moving_labels)
        if not sets.common:
            raise InputError(
                "The label maps of the two volumes have no label in common.",
                "Number the same structures alike in both.",
            )
        if sets.single:
            log(f"{len(sets.common)} labels are compared; {len(sets.single)} stand in one volume only and are not.")
        return cls(options, extractor, sets)

    @property
    def channels(self) -> int:
        """Feature channels that the solver gets."""
        extracted = 0 if self.extractor is None else self.extractor.channels
        return extracted + (0 if self.labels is None else self.labels.channels)

    def features(
        self,
        inputs: Inputs,
        sampled: tuple[Sampled, Sampled],
        alignment: sitk.Transform,
        work: Grid,
        device: Device,
        watcher: Watcher,
    ) -> tuple[Tensor, Tensor]:
        """Feature maps (C, Z, Y, X) of the fixed and of the aligned moving volume on the working grid."""
        ways = (sitk.Transform(3, sitk.sitkIdentity), alignment)
        extracted: list[Tensor | None] = [None, None]
        if self.extractor is not None and self.extractor.input is None:
            extracted = [self.extractor(volume.values, volume.trust, watcher.check) for volume in sampled]
        elif self.extractor is not None:
            images = (inputs.fixed, inputs.moving)
            extracted = [
                network_features(image, self.extractor, work, way, device, watcher.check)
                for image, way in zip(images, ways, strict=True)
            ]
        if self.labels is None:
            assert extracted[0] is not None and extracted[1] is not None
            return extracted[0], extracted[1]
        assert inputs.fixed_labels is not None and inputs.moving_labels is not None
        watcher.check()
        channels = label_channels(inputs.fixed_labels, inputs.moving_labels, self.labels, work, alignment)
        both = [
            combined(features, torch.from_numpy(own).to(device.name), self.options.label_weight)
            for features, own in zip(extracted, channels, strict=True)
        ]
        return both[0], both[1]


_FROM_CACHE = "Features were found in the cache: this volume was seen before."


def sampled_volume(
    image: sitk.Image,
    mask: sitk.Image | None,
    transform: sitk.Transform,
    work: Grid,
    background: float | None,
    device: Device,
) -> Sampled:
    """The image at transform(p) on the working grid."""
    values, trust = sample_volume(image, work, transform, background=background)
    if mask is not None:
        trust = trust & sample_mask(mask, work, transform)
    known = None if trust.all() else torch.from_numpy(trust).to(device.name)
    return Sampled(torch.from_numpy(values).to(device.name), known)


def network_features(
    image: sitk.Image,
    extractor: Extractor,
    work: Grid,
    transform: sitk.Transform,
    device: Device,
    checkpoint: Callable[[], None],
) -> Tensor:
    """Features (C, Z, Y, X) of a network at transform(p) on the working grid.

    The network sees the volume as it was made: on its own field of view, at the network's spacing and with its axes,
    whatever it is registered to. Its features, which therefore can be kept, are then resampled, linearly.
    """
    wanted = extractor.input
    assert wanted is not None
    own = Grid.of(image).with_spacing(wanted.spacing)
    grid = own.reoriented(wanted.axes) if wanted.axes else own
    values = torch.from_numpy(sample_values(image, grid)).to(device.name)
    maps = extractor(values, None, checkpoint).cpu().numpy()
    result = np.empty((len(maps), *work.size_zyx), np.float32)
    for channel, feature_map in zip(result, maps, strict=True):
        checkpoint()
        channel[:] = sample_values(grid.place(sitk.GetImageFromArray(feature_map)), work, transform)
    return torch.from_numpy(result).to(device.name)
