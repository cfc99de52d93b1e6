"""How large the error of a registration is to be expected, in mm, from the evidence that a solver leaves.

Entropy alone says how sharp a match is, not how wrong. Here the evidence of every voxel (entropy, dissimilarity, how
far the two ways disagree) is turned into an expected error by a small monotone model, whose numbers were measured on
real volumes with known deformations and are kept as data in `calibration_files`.
"""
