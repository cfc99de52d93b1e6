"""The mathematics of displacement fields, on tensors alone. The conventions below hold everywhere in this library.

Axis order      volumes (C, Z, Y, X) or (Z, Y, X); displacements (3, Z, Y, X), channel a along array axis a.
Unit            voxels of the field's own grid; physical space (mm, LPS) is the business of `images`.
Direction       a displacement u lives on the fixed grid and pulls: fixed(x) = moving(x + u(x)).
Coordinates     voxel centres at integers, 0 to N - 1 (torch's align_corners=True); always float32 or wider.
Border          outside a grid stands its nearest voxel (`Border.REPLICATE`) unless a caller asks for zeros.
"""
