"""CUDA graphs: what a function does on a GPU, recorded once for given shapes and replayed with one launch.

Small levels wait for launches, not for memory: a level step is 55 launches with fused kernels, some 2900 in plain torch
(both counted), each costing the host about 10 microseconds (an estimate), whatever the size. A graph costs one, a copy
of every input and one of the result.

Recording costs about four eager runs, three to warm up and one to record, and the first two replays save nothing, as
they are compared with the eager result. A solve meets a shape once each way, so one solve never pays for a recording.
Graphs are therefore recorded for what comes again, from the third call of one kind on, and kept from one solve to the
next within a process: long batches of volumes on one working grid gain.
Whoever wants the memory calls `release_graphs`: running out of it does, and a registration process after every job,
which so never records.

No GPU was at hand: bookkeeping, comparison and fallback are tested with a recorder on the processor, the capture itself
never ran. The test marked for CUDA in `test_kernels_graphs.py` runs it. After a capture that fails, torch may keep its
memory until the process ends, or end up with an allocator that takes the capture for running; both are known faults of
torch, mended there in 2026, and one more reason why `VoxelOptOptions.graphs` is off.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

LARGEST_VOXELS = 1 << 17
"""Voxels of a level whose launches take longer than its memory traffic. An estimate, for fused kernels: 55 launches of
10 microseconds are 0.55 ms; a level step moves 2.9 kB per voxel (`byte_floor`, 12 channels), in that time 57 thousand
voxels at 300 GB/s, 190 thousand at 1 TB/s."""
_MOST_VOXELS_KEPT = 4 * LARGEST_VOXELS
"""Of all recordings together; at 400 to 700 bytes each that is 0.2 to 0.4 GB, again an estimate."""
_CALLS_BEFORE = 2
"""Calls of one kind that are not recorded: the two ways of a single solve."""
_KINDS_REMEMBERED = 64
_COMPARED_REPLAYS = 2
"""The first repeats the inputs that were recorded with; the next shows that other inputs are followed."""
_TOLERANCE = 1e-5
"""Largest difference between a replay and the eager result, voxels. Both run the same kernels; this allows for other
orders of summation, no more."""
_WARM_UPS = 3

Function = Callable[..., Tensor]
Replay = Callable[[], Tensor]
"""Does again what was recorded, on the memory it was recorded with; what it returns, the next replay writes over."""
Recorder = Callable[[Callable[[], Tensor], "torch.device"], Replay]


@dataclass
class _Recording:
    """inputs: the memory that a replay reads; unconfirmed: replays still to be compared with the eager result."""

    inputs: list[Tensor | None]
    replay: Replay
    voxels: int
    unconfirmed: int = _COMPARED_REPLAYS

    def result(self, tensors: Sequence[Tensor | None]) -> Tensor:
        """Of other inputs, in memory of its own."""
        for kept, given in zip(self.inputs, tensors, strict=True):
            if kept is not None and given is not None:
                kept.copy_(given)
        return self.replay().clone()

    def confirm(self, found: Tensor, expected: Tensor) -> None:
        """Raises `RuntimeError` where a result differs from the eager one by more than rounding, or is not finite."""
        if not bool(torch.isclose(found, expected, rtol=0.0, atol=_TOLERANCE).all()):
            raise RuntimeError(f"a replay differs by {float((found - expected).abs().max()):g} from the eager result")
        self.unconfirmed -= 1


class Graphs:
    """Recordings of pure functions of tensors, kept as long as this is, or until `release`.

    record: makes them; device_type: where. At most `_MOST_VOXELS_KEPT` voxels are kept, those used last.
    """

    def __init__(self, record: Recorder, device_type: str = "cuda") -> None:
        self._record, self._device_type = record, device_type
        self._recordings: OrderedDict[Hashable, _Recording] = OrderedDict()
        self._calls: OrderedDict[Hashable, int] = OrderedDict()
        self._given_up: set[torch.device] = set()

    def serve(self, volume: Tensor) -> bool:
        """Whether functions of volumes like this one (C, Z, Y, X) may be replayed: small ones, where graphs work."""
        return (
            volume.device.type == self._device_type
            and volume.device not in self._given_up
            and volume[0].numel() <= LARGEST_VOXELS
            and not (torch.is_grad_enabled() and volume.requires_grad)
        )

    def __call__(self, function: Function, tensors: Sequence[Tensor | None], settings: Hashable) -> Tensor:
        """function(*tensors, settings), replayed where that is recorded, else run, and recorded if it comes again.

        The function: of a module, reads nothing but its arguments and nothing off the device, changes none of them, and
        returns one tensor. The first tensor is a volume; those that `serve` does not take are never recorded. What does
        not agree with the eager result, or cannot be recorded, is logged, and no graphs serve on that device any more.
        Running out of memory while recording releases all recordings.
        """
        volume = _first(tensors)
        kind = (function, settings, tuple(None if t is None else (t.shape, t.dtype, t.device) for t in tensors))
        recording = self._recordings.get(kind)
        if not self.serve(volume) or (recording is None and not self._comes_again(kind)):
            return function(*tensors, settings)
        confirmed = recording is not None and recording.unconfirmed == 0
        expected = None if confirmed else function(*tensors, settings)
        found = None
        try:
            recording = recording or self._recorded(function, tensors, settings)
            found = recording.result(tensors)
            if expected is not None:
                recording.confirm(found, expected)
        except torch.cuda.OutOfMemoryError:
            self.release()
        except Exception as error:  # torch and the driver name theirs variously
            self._give_up(volume.device, error)
        else:
            self._keep(kind, recording)
        trusted = found if expected is None else expected
        return function(*tensors, settings) if trusted is None else trusted

    def release(self) -> None:
        """Forget all recordings and calls; their memory goes back to torch."""
        self._recordings.clear()
        self._calls.clear()

    def __len__(self) -> int:
        return len(self._recordings)

    @property
    def given_up(self) -> frozenset[torch.device]:
        """Devices on which graphs no longer serve."""
        return frozenset(self._given_up)

    def _comes_again(self, kind: Hashable) -> bool:
        calls = self._calls.pop(kind, 0) + 1
        self._calls[kind] = calls
        if len(self._calls) > _KINDS_REMEMBERED:
            self._calls.popitem(last=False)
        return calls > _CALLS_BEFORE

    def _recorded(self, function: Function, tensors: Sequence[Tensor | None], settings: Hashable) -> _Recording:
        # Copies even of what is contiguous: the recording would read memory that is somebody else's later.
        inputs = [None if t is None else t.clone(memory_format=torch.contiguous_format) for t in tensors]
        volume = _first(inputs)
        replay = self._record(lambda: function(*inputs, settings), volume.device)
        return _Recording(inputs, replay, volume[0].numel())

    def _keep(self, kind: Hashable, recording: _Recording) -> None:
        self._recordings[kind] = recording
        self._recordings.move_to_end(kind)
        while sum(kept.voxels for kept in self._recordings.values()) > _MOST_VOXELS_KEPT:
            self._recordings.popitem(last=False)

    def _give_up(self, device: torch.device, error: Exception) -> None:
        self._given_up.add(device)
        self._recordings = OrderedDict(
            (kind, kept) for kind, kept in self._recordings.items() if _first(kept.inputs).device != device
        )
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        logging.getLogger(__name__).warning("No CUDA graphs on %s: %s", device, reason)


def record_on_gpu(work: Callable[[], Tensor], device: torch.device) -> Replay:
    """Captures what `work` launches on a CUDA device; warmed up on a side stream, as torch's documentation prescribes.

    The memory of everything that `work` makes stays with the graph as long as the replay is kept.
    """
    with torch.cuda.device(device):
        here, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(here)
        graph = torch.cuda.CUDAGraph()
        # A capture that fails leaves its stream the current one; this block makes `here` that again.
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                work()
            with torch.cuda.graph(graph, stream=side):
                result = work()
        here.wait_stream(side)

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


@cache
def kept_graphs() -> Graphs:
    """Those of this process."""
    return Graphs(record_on_gpu)


def release_graphs() -> None:
    """Give up the memory of all of them."""
    kept_graphs().release()


def _first(tensors: Sequence[Tensor | None]) -> Tensor:
    return next(tensor for tensor in tensors if tensor is not None)
