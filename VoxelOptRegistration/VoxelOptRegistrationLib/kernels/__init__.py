"""Fast versions of single operations, each beside the plain torch that it replaces.

Where numba is installed, the functions of the modules here compute what their torch twins elsewhere compute, to
rounding, in one pass over the data; without it, on other devices and in other precisions the twins serve. What decides
is `runtime.compiles`. The loops themselves stand in `loops`, whose modules need numba and are imported only then.
On an NVIDIA GPU, where Triton is, `runtime.fused` lets the modules in `gpu` do the same; nothing else imports them.
Conventions of axes, units and borders: see `fields`.
"""
