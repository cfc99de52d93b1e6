"""The paper's ablations (arXiv 2506.19975): one thing changed at a time from VoxelOpt as released."""

from __future__ import annotations

from .cases import Program

BASE = ("--method", "voxelopt-paper", "--refine", "none")
COUPLINGS = {1: "1.0", 2: "0.003,1.0", 3: "0.003,0.1,1.0"}
"""Weights for fewer than the six coupled iterations: the first and the last stay, the others are spread between."""


def feature_options(weights: str | None, coarse: bool) -> dict[str, tuple[str, ...]]:
    """Options of `register` for each kind of features: raw intensities, MIND-SSC, and with `weights` the network.

    coarse: whether the working grid has voxels twice as large as those on which the release computes MIND-SSC with
    radius 2 and dilation 2: both are halved then, so that they reach as far in mm.
    """
    reach = 1 if coarse else 2
    found = {
        "raw": ("--features", "intensity"),
        "MIND": (
            *("--features", "mind", "--set", f"features.radius={reach}", "--set", f"features.dilation={reach}"),
            *("--set", "features.floor=0.001"),
        ),
    }
    if weights is not None:
        found["network"] = ("--features", "ct-unet", "--set", f"features.weights={weights}")
    return found


def ablation_programs(weights: str | None, coarse: bool) -> list[Program]:
    """The released setting first, with the network's features if there are `weights`, else with MIND-SSC."""
    features = feature_options(weights, coarse)
    base = list(features)[-1]
    programs = [Program(f"released, {base}", (*BASE, *features[base]))]

    def changed(name: str, *settings: str) -> None:
        options = [word for setting in settings for word in ("--set", setting)]
        programs.append(Program(name, (*BASE, *features[base], *options)))

    programs += [Program(f"features {name}", (*BASE, *features[name])) for name in features if name != base]
    changed("not adaptive, released filter", "solver.smoothing=released")
    changed("not adaptive, isotropic filter", "solver.smoothing=isotropic")
    for radius in (2, 3):
        changed(f"k = {radius}", f"solver.search_radius={radius}")
    for count, couplings in COUPLINGS.items():
        changed(f"{count} coupled iteration{'s' if count > 1 else ''}", f"solver.couplings={couplings}")
    changed("no pre-filter", "solver.prefilter_passes=0")
    return programs
