"""Random smooth images for solver tests: those that the benchmark of speed times."""

from __future__ import annotations

from VoxelOptRegistrationLib.benchmark.speed.generated import smooth_field, textured

__all__ = ["smooth_field", "textured"]
