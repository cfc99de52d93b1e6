"""Watches what torch dispatches: whether the host reads from a device or feeds it, how much there is to launch, and a
recorder that does it all again on the same memory, as a CUDA graph does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {
    "_local_scalar_dense",
    "nonzero",
    "is_nonzero",
    "equal",
    "masked_select",
    "unique_dim",
    "_unique2",
    "repeat_interleave",
}
"""Operations whose result, or its size, the host must know."""
FEEDS = {"lift_fresh", "lift_fresh_copy"}
"""What torch.tensor(numbers) does, on every device."""


class LeftTheDevice(Exception):
    """The host had to wait for the device, or copied to it."""


class OnDevice(TorchDispatchMode):
    """Raises `LeftTheDevice` where the host reads from `device`, feeds it or works beside it. launches: by name."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self._device = device
        self.launches: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        name = function.overloadpacket.__name__
        if name in WAITS | FEEDS or _chosen_by_mask(name, arguments):
            raise LeftTheDevice(name)
        result = function(*arguments, **(named or {}))
        for tensor in tree_leaves((arguments, named, result)):
            if isinstance(tensor, Tensor) and tensor.device.type != self._device:
                raise LeftTheDevice(f"{name} on {tensor.device}")
        if not _launches_nothing(function):
            self.launches[name] += 1
        return result


def _chosen_by_mask(name: str, arguments: Any) -> bool:
    """Whether voxels are picked where a mask says: how many they are, the host must know."""
    masks = [part for part in tree_leaves(arguments[1:]) if isinstance(part, Tensor) and part.dtype is torch.bool]
    return name.startswith("index") and bool(masks)


def _launches_nothing(function: Any) -> bool:
    """Whether an operation only makes views, or memory that nobody has written yet."""
    views = any(value.alias_info is not None for value in function._schema.returns)
    name = function.overloadpacket.__name__
    return (views and not function._schema.is_mutable) or "empty" in name or name == "_unsafe_view"


class Tape(TorchDispatchMode):
    """Records what is dispatched: operations, the tensors they read and wrote, numbers of the host as they were."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: list[tuple[Any, Any, dict[str, Any], Any]] = []

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        result = function(*arguments, **(named or {}))
        if "empty" not in function.overloadpacket.__name__:
            self._steps.append((function, arguments, named or {}, result))
        return result

    def play(self) -> None:
        """All of it again, from what the tensors hold now into the tensors that were written then."""
        for function, arguments, named, result in self._steps:
            again = function(*arguments, **named)
            for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.untyped_storage().data_ptr() != new.untyped_storage().data_ptr():
                    old.copy_(new)


class TapeRecorder:
    """A recorder for `Graphs` on the processor. replays: how many there were, of all recordings."""

    def __init__(self) -> None:
        self.recordings = 0
        self.replays = 0

    def __call__(self, work: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
        self.recordings += 1
        tape = Tape()
        with tape:
            result = work()

        def replay() -> Tensor:
            self.replays += 1
            tape.play()
            return result

        return replay
