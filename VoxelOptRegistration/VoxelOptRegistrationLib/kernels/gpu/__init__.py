"""Fused operations for NVIDIA GPUs, written in Triton, each beside the plain torch that it replaces.

Reached through `runtime.fused` only, which imports these modules where Triton is and the tensors are where it computes.
Volumes are contiguous (C, Z, Y, X), float32 or float16; arithmetic and coordinates are float32. A voxel's place within
one channel is a 32-bit number, so that finding its coordinates stays cheap; from channel to channel pointers advance,
which are 64 bits wide, so that a stack of channels may be of any length. Triton's interpreter computes the same without
a GPU (TRITON_INTERPRET=1), which is how the tests run them.
"""
