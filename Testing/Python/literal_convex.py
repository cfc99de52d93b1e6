"""ConvexAdam, SAMConvex and the refinement with Adam as their formulas read: the slow twins of the fast ones.

Written from the mathematics with numpy and scipy, float64, no regard to speed: costs candidate by candidate and cell by
cell, means by scipy's filters, interpolation by scipy's, Adam's update written out. Arrays are (z, y, x), fields
(3, z, y, x).
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from VoxelOptRegistrationLib.benchmark import literal_voxelopt
from VoxelOptRegistrationLib.options import (
    AdamOptions,
    Border,
    Comparison,
    ConvexAdamOptions,
    Hyperprior,
    Regulariser,
    SAMConvexOptions,
    Unit,
)

Array = np.ndarray
MODES = {Border.REPLICATE: "nearest", Border.ZERO: "constant"}


def convexadam(fixed: Array, moving: Array, options: ConvexAdamOptions) -> Array:
    """The field of the discrete stage on the voxels, without mending folds."""
    shape = fixed.shape[1:]
    sides = cell_sides(shape, options.spacing, options.any_size)
    f, m = (cell_means(volume, sides, options.any_size) for volume in (fixed, moving))
    u = search(f, m, options)
    if options.inverse_consistency:
        g = search(m, f, options)
        for _ in range(options.consistency_sweeps):
            u, g = (u - follow(g, u, options)) / 2, (g - follow(u, g, options)) / 2
    fine = stretch(u, sides, shape, options.any_size)
    if options.inverse_consistency or options.scaled_one_way:
        fine = np.stack([fine[a] * sides[a] for a in range(3)])
    return fine


def search(fixed: Array, moving: Array, options: ConvexAdamOptions) -> Array:
    offsets = candidates(options.search_width)
    costs = squared_costs(fixed, moving, offsets, options.border)
    for _ in range(options.score_passes):
        costs = [box(cost, options.border) for cost in costs]
    return couple(np.stack(costs), offsets, options.couplings, 1.0, options.passes, options.passes, options.border)


def squared_costs(fixed: Array, moving: Array, offsets: list, border: Border) -> list[Array]:
    costs = []
    for offset in offsets:
        at = [np.arange(n) + o for n, o in zip(fixed.shape[1:], offset, strict=True)]
        inside = [np.clip(p, 0, n - 1) for p, n in zip(at, fixed.shape[1:], strict=True)]
        there = moving[(slice(None), *np.ix_(*inside))]
        if border is Border.ZERO:
            left = [p != q for p, q in zip(at, inside, strict=True)]
            there = np.where(left[0][:, None, None] | left[1][:, None] | left[2], 0.0, there)
        costs.append(((fixed - there) ** 2).sum(axis=0))
    return costs


def search_by_loop(fixed: Array, moving: Array, options: ConvexAdamOptions) -> Array:
    """`search`, one cell and one candidate at a time."""
    offsets = candidates(options.search_width)
    shape = fixed.shape[1:]
    cost = np.zeros((len(offsets), *shape))
    for (k, offset), x in itertools.product(enumerate(offsets), np.ndindex(shape)):
        at = [x[a] + offset[a] for a in range(3)]
        inside = tuple(min(max(p, 0), n - 1) for p, n in zip(at, shape, strict=True))
        zero = options.border is Border.ZERO and list(inside) != at
        for f, m in zip(fixed, moving, strict=True):
            cost[(k, *x)] += (f[x] - (0.0 if zero else m[inside])) ** 2
    for _ in range(options.score_passes):
        cost = np.stack([mean_by_loop(c, options.border) for c in cost])
    u = None
    for c in (0.0, *options.couplings):
        v = np.zeros((3, *shape))
        for x in np.ndindex(shape):
            energies = []
            for k, offset in enumerate(offsets):
                far = 0.0 if u is None else sum((offset[a] - u[(a, *x)]) ** 2 for a in range(3))
                energies.append(cost[(k, *x)] + c * far)
            v[(slice(None), *x)] = offsets[energies.index(min(energies))]
        u = v
        for _ in range(options.passes):
            u = np.stack([mean_by_loop(component, options.border) for component in u])
    return u


def mean_by_loop(volume: Array, border: Border) -> Array:
    padded = np.pad(volume, 1, mode="edge" if border is Border.REPLICATE else "constant")
    mean = np.zeros_like(volume)
    for x in np.ndindex(volume.shape):
        mean[x] = padded[x[0] : x[0] + 3, x[1] : x[1] + 3, x[2] : x[2] + 3].mean()
    return mean


def candidates(width: int) -> list[tuple[int, ...]]:
    """Shortest first: where costs are equal, as they are beyond a border, the shortest displacement wins."""
    steps = range(-width, width + 1)
    return sorted(itertools.product(steps, repeat=3), key=lambda d: sum(o * o for o in d))


def couple(
    costs: Array, offsets: list, couplings: tuple, scale: object, first: int, passes: int, border: Border
) -> Array:
    """`scale` brings displacements to the unit of the coupling."""
    d = np.array(offsets, dtype=float) * scale
    d = d[:, :, None, None, None]
    u = boxes(d[costs.argmin(axis=0), :, 0, 0, 0].transpose(3, 0, 1, 2), first, border)
    for c in couplings:
        energy = costs + c * ((d - u[None]) ** 2).sum(axis=1)
        u = boxes(d[energy.argmin(axis=0), :, 0, 0, 0].transpose(3, 0, 1, 2), passes, border)
    return u / (np.ones(3) * scale)[:, None, None, None]


def box(volume: Array, border: Border) -> Array:
    """No running sums: they round, and what ties must stay tied."""
    return ndimage.convolve(volume, np.full((3, 3, 3), 1 / 27), mode=MODES[border])


def boxes(field: Array, passes: int, border: Border) -> Array:
    for _ in range(passes):
        field = np.stack([box(component, border) for component in field])
    return field


def cell_sides(shape: tuple, spacing: int, any_size: bool) -> list[int]:
    return [min(spacing, n // 4) if any_size else spacing for n in shape]


def cell_means(volume: Array, sides: list, any_size: bool) -> Array:
    counts = [-(-n // s) if any_size else n // s for n, s in zip(volume.shape[1:], sides, strict=True)]
    means = np.zeros((len(volume), *counts))
    for j in np.ndindex(*counts):
        part = tuple(slice(j[a] * sides[a], (j[a] + 1) * sides[a]) for a in range(3))
        means[(slice(None), *j)] = volume[(slice(None), *part)].mean(axis=(1, 2, 3))
    return means


def stretch(field: Array, sides: list, shape: tuple, any_size: bool) -> Array:
    """Values of cells at the voxels, cell j at s j + (s - 1) / 2, or over the whole grid as released."""
    at = []
    for n, count, side in zip(shape, field.shape[1:], sides, strict=True):
        ratio = 1 / side if any_size else count / n
        at.append(np.clip((np.arange(n) + 0.5) * ratio - 0.5, 0, count - 1))
    points = np.meshgrid(*at, indexing="ij")
    return np.stack([ndimage.map_coordinates(c, points, order=1, mode="nearest") for c in field])


def pull(volume: Array, u: Array, border: Border, factor: object = 1.0) -> Array:
    factor = np.ones(3) * factor
    grid = np.meshgrid(*[np.arange(n, dtype=float) for n in u.shape[1:]], indexing="ij")
    points = [grid[a] + factor[a] * u[a] for a in range(3)]
    mode = "nearest" if border is Border.REPLICATE else "grid-constant"
    return np.stack([ndimage.map_coordinates(c, points, order=1, mode=mode) for c in volume])


def follow(g: Array, u: Array, options: ConvexAdamOptions) -> Array:
    if options.exact_consistency:
        return pull(g, u, Border.REPLICATE)
    return pull(g, u, Border.ZERO, [n / (n - 1) for n in u.shape[1:]])


def samconvex(fixed: Array, moving: Array, options: SAMConvexOptions, halvings: list) -> Array:
    """The field on the voxels, without mending folds; `halvings` says which axes are halved, finest first."""
    shape = fixed.shape[1:]
    sides = cell_sides(shape, options.spacing, True)
    f, m = (cell_means(unit(volume) if options.unit_features else volume, sides, True) for volume in (fixed, moving))
    pyramid = [(f, m)]
    for axes in halvings:
        pyramid.append(tuple(halve(volume, axes, options) for volume in pyramid[-1]))
    total = None
    for index in reversed(range(len(pyramid))):
        f, m = pyramid[index]
        if total is not None:
            m = pull(m, total, options.border)
        if options.unit_features:
            f, m = unit(f), unit(m)
        r = options.search_radii[len(options.search_radii) - 1 - index]
        offsets = candidates(r)
        costs = np.stack([0.5 * cost for cost in squared_costs(f, m, offsets, options.border)])
        scale = [2 / (n - 1) for n in f.shape[1:]] if options.coupling_unit is Unit.NORMALISED else 1.0
        u = couple(costs, offsets, options.couplings, scale, options.first_passes, options.passes, options.border)
        u = boxes(u, options.residual_passes, options.border)
        total = u if total is None else u + pull(total, u, options.border)
        if index > 0:
            finer = pyramid[index - 1][0].shape[1:]
            total = literal_voxelopt.double(torch.from_numpy(total), finer, halvings[index - 1], options).numpy()
    fine = stretch(total, sides, shape, True)
    return boxes(np.stack([fine[a] * sides[a] for a in range(3)]), options.final_passes, options.border)


def unit(volume: Array) -> Array:
    return volume / np.sqrt((volume**2).sum(axis=0, keepdims=True))


def halve(volume: Array, axes: tuple, options: SAMConvexOptions) -> Array:
    if not options.box_pyramid:
        return literal_voxelopt.halve(torch.from_numpy(volume), axes, options).numpy()
    size = [3 if halved else 1 for halved in axes]
    counts = ndimage.uniform_filter(np.ones(volume.shape[1:]), size, mode="constant")
    means = np.stack([ndimage.uniform_filter(c, size, mode="constant") / counts for c in volume])
    steps = tuple(slice(None, None, 2 if halved else 1) for halved in axes)
    return means[(slice(None), *steps)]


def adam(start: Array, fixed: Array, moving: Array, options: AdamOptions) -> tuple[Array, Array]:
    """The refined field on the voxels, without mending folds, and the local weights on the cells."""
    shape = fixed.shape[1:]
    sides = cell_sides(shape, options.spacing, options.any_size)
    if options.residual:
        moving = pull(moving, start, options.border)
    f, m = (torch.from_numpy(cell_means(volume, sides, options.any_size)) for volume in (fixed, moving))
    begin = np.zeros_like(start) if options.residual else start
    if options.any_size:
        coarse = cell_means(begin, sides, True)
    else:
        size = [n // s for n, s in zip(shape, sides, strict=True)]
        coarse = F.interpolate(torch.from_numpy(begin)[None], size=size, mode="trilinear")[0].numpy()
    p = torch.from_numpy(np.stack([coarse[a] / sides[a] for a in range(3)])).requires_grad_()
    q = torch.ones(p.shape[1:], dtype=torch.float64, requires_grad=True)
    moments = {name: [torch.zeros_like(x), torch.zeros_like(x)] for name, x in (("p", p), ("q", q))}
    top = 1.0 if options.hyperprior is Hyperprior.BETA else 5.0
    used = p.detach()
    for t in range(1, options.steps + 1):
        u = thrice(p, options)
        used = u.detach()
        local = thrice(q[None], options, Border.REPLICATE)[0]
        loss = data_term(f, m, u, options) + penalty(u, local, options)
        gradients = torch.autograd.grad(loss, (p, q), allow_unused=True)
        for name, x, gradient, rate in zip(
            "pq", (p, q), gradients, (options.learning_rate, options.weight_rate), strict=True
        ):
            if gradient is None:
                continue
            first, second = moments[name]
            first.mul_(0.9).add_(0.1 * gradient)
            second.mul_(0.999).add_(0.001 * gradient**2)
            with torch.no_grad():
                x -= rate * (first / (1 - 0.9**t)) / ((second / (1 - 0.999**t)).sqrt() + options.epsilon)
        with torch.no_grad():
            q.clamp_(1e-6, top)
    if options.last_step:
        used = thrice(p, options).detach()
    if not options.smooth_field:
        used = p.detach()
    fine = stretch(used.numpy(), sides, shape, options.any_size)
    fine = np.stack([fine[a] * sides[a] for a in range(3)])
    if options.final_box:
        for _ in range(3):
            fine = np.stack([ndimage.uniform_filter(c, options.final_box, mode="nearest") for c in fine])
    if options.residual:
        fine = fine + pull(start, fine, options.border)
    return fine, thrice(q[None], options, Border.REPLICATE)[0].detach().numpy()


def thrice(p: torch.Tensor, options: AdamOptions, border: Border | None = None) -> torch.Tensor:
    mode = "replicate" if (border or options.border) is Border.REPLICATE else "constant"
    kernel = torch.full((1, 1, 3, 3, 3), 1 / 27, dtype=p.dtype)
    for _ in range(options.smoothing):
        p = F.conv3d(F.pad(p[:, None], (1,) * 6, mode=mode), kernel)[:, 0]
    return p


def data_term(f: torch.Tensor, m: torch.Tensor, u: torch.Tensor, options: AdamOptions) -> torch.Tensor:
    axes = [torch.arange(n, dtype=u.dtype) for n in u.shape[1:]]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij")) + u
    grid = torch.stack([points[a] * (2 / (u.shape[a + 1] - 1)) - 1 for a in (2, 1, 0)], dim=-1)[None]
    padding = "border" if options.border is Border.REPLICATE else "zeros"
    w = F.grid_sample(m[None], grid, padding_mode=padding, align_corners=True)[0]
    if options.comparison is Comparison.COSINE:
        return -((w * f).sum(dim=0) / (w.norm(dim=0) * f.norm(dim=0))).mean()
    return 12 * ((w - f) ** 2).mean()


def penalty(u: torch.Tensor, local: torch.Tensor, options: AdamOptions) -> torch.Tensor:
    if options.weight_unit is Unit.NORMALISED:
        u = torch.stack([u[a] * 2 / (u.shape[a + 1] - 1) for a in range(3)])
    if options.regulariser is Regulariser.BENDING:
        total = 0.0
        for a, b in itertools.product((1, 2, 3), repeat=2):
            total = total + (u.diff(dim=a).diff(dim=b) ** 2).mean()
        return options.weight * total
    if options.regulariser is Regulariser.DIFFUSION:
        return options.weight * sum((u.diff(dim=a) ** 2).mean() for a in (1, 2, 3))
    total = (local[1:] * u.diff(dim=1) ** 2).mean()
    total = total + (local[:, 1:] * u.diff(dim=2) ** 2).mean() + (local[:, :, 1:] * u.diff(dim=3) ** 2).mean()
    if options.hyperprior is Hyperprior.BETA:
        return options.weight * total - options.hyperprior_weight * local.log().mean()
    return options.weight * total + options.hyperprior_weight * ((local - 1) ** 2).mean()
