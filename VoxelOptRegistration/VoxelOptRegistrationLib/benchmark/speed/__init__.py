"""How fast: the solver and its single operations, whole jobs beside other programs, and growth with the volume.

What is timed runs in child processes (`__main__`), one after another; what stands side by side in a table was measured
in turn in one of them. The parent process, tables and pictures load no torch.
"""
