"""Deformable registration of CT and MR volumes by discrete optimisation (VoxelOpt), with inspection of the result.

Importing this package loads nothing heavy: torch and SimpleITK are imported by the modules that use them.
"""

__version__ = "0.1.0"
