"""Other registration programs, installed with pip: each runs in a process of its own, its field is scored as ours are.

A peer is a file here with `TITLE`, `SETTINGS` (what was chosen, for people), `FIELD` (the name of the file that it
writes; the kind of field follows from it, see `convert`) and `register(fixed, moving, field, threads)`, which returns
the seconds of the registration call alone and the program's version. Nothing else of this library is imported there.
"""

NAMES = ("greedy", "convexadam", "syn", "elastix", "demons")
