"""Fast versions of single operations, for the CPU, each beside the plain torch that it replaces.

Where numba is installed, the functions of the modules here compute what their torch twins elsewhere compute, to
rounding, in one pass over the data; without it, on other devices and in other precisions the twins serve. What decides
is `runtime.compiles`. The loops themselves stand in `loops`, whose modules need numba and are imported only then.
Conventions of axes, units and borders: see `fields`.
"""
