"""VoxelOpt as its formulas read: the slow twin that the fast solver is compared with, option by option.

Written from the mathematics (arXiv 2506.19975 and the release's observable behaviour) with no regard to speed:
neighbours are unfolded, the coupling is a broadcast over candidates and components, every candidate's energy is held
at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..options import Border, EntropyScale, Smoothing, Ties, VoxelOptOptions

TEMPERATURE = 5e-5


def solve_one_way(
    fixed: Tensor, moving: Tensor, options: VoxelOptOptions, halvings: Sequence[tuple[bool, ...]]
) -> Tensor:
    """Displacement (3, Z, Y, X), voxels; features (C, Z, Y, X); `halvings` says which axes are halved, finest first."""
    fixed_levels, moving_levels = [fixed], [moving]
    for axes in halvings:
        fixed_levels.append(halve(fixed_levels[-1], axes, options))
        moving_levels.append(halve(moving_levels[-1], axes, options))
    total: Tensor | None = None
    for level in range(len(halvings), -1, -1):
        f, m = fixed_levels[level], moving_levels[level]
        if total is not None:
            m = pull(m, total, options.border)
        g = one_level(f, m, options)
        total = g if total is None else g + pull(total, g, options.border)
        if level > 0:
            total = double(total, fixed_levels[level - 1].shape[1:], halvings[level - 1], options)
    assert total is not None
    for _ in range(options.subvoxel_rounds):
        g = subvoxel(fixed, pull(moving, total, options.border), options)
        total = g + pull(total, g, options.border)
    return total


def one_level(fixed: Tensor, moving: Tensor, options: VoxelOptOptions) -> Tensor:
    """The residual displacement of one level, (3, Z, Y, X), voxels."""
    k = options.search_radius
    steps = range(-k, k + 1)
    offsets = torch.tensor([(a, b, c) for a in steps for b in steps for c in steps], dtype=fixed.dtype)
    scores = score_volume(fixed, moving, k, options.border)
    entropy = entropy_map(scores, options)
    taps = tap_volumes(entropy, options)
    smoothed = scores
    for _ in range(options.prefilter_passes):
        smoothed = smooth(smoothed, taps, options.border)
    v = pick(smoothed, offsets, options.ties)
    u = v
    for _ in range(options.passes):
        u = smooth(u, taps, options.border)
    for c in options.couplings:
        squared = ((u[None] - offsets[:, :, None, None, None]) ** 2).sum(dim=1)
        v = pick(smoothed - c * squared, offsets, options.ties)
        u = v
        for _ in range(options.passes):
            u = smooth(u, taps, options.border)
    u = u / 2**options.squarings
    for _ in range(options.squarings):
        u = u + pull(u, u, options.border)
    return u


def score_volume(fixed: Tensor, moving: Tensor, k: int, border: Border) -> Tensor:
    """Minus the mean absolute difference for every displacement within k, (K, Z, Y, X), in raster order."""
    mode = "replicate" if border is Border.REPLICATE else "constant"
    padded = F.pad(moving[None], (k,) * 6, mode=mode)[0]
    side = 2 * k + 1
    neighbours = padded.unfold(1, side, 1).unfold(2, side, 1).unfold(3, side, 1)
    neighbours = neighbours.reshape(*fixed.shape, side**3).permute(4, 0, 1, 2, 3).contiguous()
    return -(neighbours - fixed[None]).abs().mean(dim=1)


def entropy_map(scores: Tensor, options: VoxelOptOptions) -> Tensor:
    """Entropy of the softmax over the candidates, (Z, Y, X), 0 to 1."""
    p = torch.softmax(options.sharpness * scores, dim=0).clamp(1e-6, 1.0)
    p = p / p.sum(dim=0, keepdim=True)
    h = -(p * p.log()).sum(dim=0)
    if options.entropy_scale is EntropyScale.CANDIDATES:
        return h / math.log(len(scores))
    return (h - h.min()) / (h.max() - h.min())


def tap_volumes(entropy: Tensor, options: VoxelOptOptions) -> list[tuple[Tensor, Tensor]]:
    """Per axis: weight of the voxel itself and of each of its two neighbours."""
    low, high = options.sigma_low, options.sigma_high
    sigma = low + torch.log2(1 + entropy) * (high - low)
    if options.smoothing is not Smoothing.ADAPTIVE:
        sigma = torch.full_like(sigma, high)
    a = torch.exp(-1 / (2 * sigma**2))
    ratios = [a, a, a]
    if options.smoothing is Smoothing.RELEASED:
        ratios = [a, torch.ones_like(a), a * a]
    return [(1 / (1 + 2 * r), r / (1 + 2 * r)) for r in ratios]


def smooth(volume: Tensor, taps: list[tuple[Tensor, Tensor]], border: Border) -> Tensor:
    """One pass along the three axes."""
    mode = "replicate" if border is Border.REPLICATE else "constant"
    for axis, (centre, side) in enumerate(taps):
        pad = [0] * 6
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = 1
        triples = F.pad(volume[None], pad, mode=mode)[0].unfold(axis + 1, 3, 1).contiguous()
        volume = side * triples[..., 0] + centre * triples[..., 1] + side * triples[..., 2]
    return volume


def pick(energy: Tensor, offsets: Tensor, ties: Ties) -> Tensor:
    """The displacement (3, Z, Y, X) of the largest energy (K, Z, Y, X)."""
    if ties is Ties.SUM:
        p = torch.softmax(energy / TEMPERATURE, dim=0)
        chosen = (p == p.max(dim=0, keepdim=True).values).to(energy.dtype)
        return (chosen[:, None] * offsets[:, :, None, None, None]).sum(dim=0)
    order = sorted(range(len(offsets)), key=lambda i: float((offsets[i] ** 2).sum()))
    return offsets[order][energy[order].argmax(dim=0)].permute(3, 0, 1, 2)


def pull(volume: Tensor, u: Tensor, border: Border) -> Tensor:
    """The volume (C, Z, Y, X) at x + u(x)."""
    sizes = volume.shape[1:]
    axes = [torch.arange(n, dtype=torch.float32) for n in u.shape[1:]]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij")) + u
    scaled = [2 * points[a] / (sizes[a] - 1) - 1 for a in (2, 1, 0)]
    padding = "border" if border is Border.REPLICATE else "zeros"
    grid = torch.stack(scaled, dim=-1)[None]
    return F.grid_sample(volume[None], grid, mode="bilinear", padding_mode=padding, align_corners=True)[0]


def halve(volume: Tensor, axes: tuple[bool, ...], options: VoxelOptOptions) -> Tensor:
    """The volume (C, Z, Y, X) on the next coarser level."""
    if not options.low_pass:
        size = [n // 2 if h else n for n, h in zip(volume.shape[1:], axes, strict=True)]
        return F.interpolate(volume[None], size=size, mode="trilinear", align_corners=True)[0]
    for axis, halved in enumerate(axes, start=1):
        if halved:
            n = volume.shape[axis]
            planes = []
            for j in range((n + 1) // 2):
                around = [volume.select(axis, min(max(2 * j + o, 0), n - 1)) for o in (-1, 0, 1, 2)]
                planes.append((around[0] + 3 * around[1] + 3 * around[2] + around[3]) / 8)
            volume = torch.stack(planes, dim=axis)
    return volume


def double(field: Tensor, shape: torch.Size, axes: tuple[bool, ...], options: VoxelOptOptions) -> Tensor:
    """The displacement (3, Z, Y, X) on the next finer level of this shape, in its voxels."""
    if not options.low_pass:
        fine = F.interpolate(field[None], size=tuple(shape), mode="trilinear", align_corners=True)[0]
        ratios = [2.0 if halved else 1.0 for halved in axes]
        if options.exact_scale:
            ratios = [(shape[a] - 1) / (field.shape[a + 1] - 1) for a in range(3)]
        return torch.stack([fine[a] * ratios[a] for a in range(3)])
    for axis, halved in enumerate(axes, start=1):
        if halved:
            n = field.shape[axis]
            planes = []
            for i in range(shape[axis - 1]):
                at = min(max((i - 0.5) / 2, 0.0), n - 1.0)
                low = min(int(at), n - 2)
                part = at - low
                planes.append((1 - part) * field.select(axis, low) + part * field.select(axis, low + 1))
            field = torch.stack(planes, dim=axis)
    return torch.stack([field[a] * (2.0 if axes[a] else 1.0) for a in range(3)])


def subvoxel(fixed: Tensor, moving: Tensor, options: VoxelOptOptions) -> Tensor:
    """The residual of one sub-voxel round: scalar formulas, a loop over the six neighbours."""
    k = 1
    everything = score_volume(fixed, moving, k, options.border)
    at = {(a, b, c): 9 * (a + 1) + 3 * (b + 1) + (c + 1) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)}
    ahead = [at[1, 0, 0], at[0, 1, 0], at[0, 0, 1]]
    behind = [at[-1, 0, 0], at[0, -1, 0], at[0, 0, -1]]
    seven = everything[[at[0, 0, 0], *ahead, *behind]]
    taps = tap_volumes(entropy_map(seven, options), options)
    for _ in range(options.prefilter_passes):
        seven = smooth(seven, taps, options.border)
    u = torch.zeros(3, *fixed.shape[1:], dtype=fixed.dtype)
    for c in options.couplings:
        moved = torch.empty_like(u)
        for axis in range(3):
            s0, plus, minus = seven[0], seven[1 + axis], seven[4 + axis]
            slope = (plus - minus) / 2
            curvature = (2 * s0 - plus - minus).clamp(min=1e-3)
            reach = torch.sqrt((-2 * s0 / curvature).clamp(0, 1))
            moved[axis] = ((slope + 2 * c * u[axis]) / (curvature + 2 * c)).clamp(-reach, reach)
        u = moved
        for _ in range(options.passes):
            u = smooth(u, taps, options.border)
    u = u / 2**options.squarings
    for _ in range(options.squarings):
        u = u + pull(u, u, options.border)
    return u
