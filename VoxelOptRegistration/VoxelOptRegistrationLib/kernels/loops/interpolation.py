"""What loops that interpolate share: positions held within a volume, and values between two others."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled


@compiled
def held(position: Any, last: Any) -> Any:
    """`position` within [0, last]; 0 for what is not a number, so that it can be an index."""
    if not position > np.float32(0):
        return np.float32(0)
    return position if position < last else last


@compiled
def between(low: Any, high: Any, share: Any) -> Any:
    return low + share * (high - low)
