"""Loops of `kernels.entropy`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled
from .rows import add

_LOG_2 = np.float32(0.6931471805599453)
_LOG2_E = np.float32(1.4426950408889634)
_LEAST = np.float32(-87.0)
"""Smaller exponents give 0: the next power of two no longer fits float32."""
_LEAST_SHARE = np.float32(1e-6)
_LOG_LEAST_SHARE = np.float32(-13.815510557964274)
_C2, _C3, _C4, _C5, _C6 = (np.float32(1 / n) for n in (2, 6, 24, 120, 720))


@compiled
def _powers_of_two(exponents: Any, bits: Any) -> None:
    """The float32 2^round(exponent / ln 2), as its bits."""
    for x in range(len(exponents)):
        e = exponents[x] if exponents[x] > _LEAST else _LEAST
        bits[x] = (np.int32(e * _LOG2_E - np.float32(0.5)) + np.int32(127)) << np.int32(23)


@compiled
def _exponential(exponents: Any, powers: Any, result: Any) -> None:
    """e^exponent for exponents up to 0, whose nearest power of two is in `powers`: Taylor for the rest, |r| < 0.35."""
    for x in range(len(exponents)):
        t = exponents[x]
        e = t if t > _LEAST else _LEAST
        r = t - np.float32(np.int32(e * _LOG2_E - np.float32(0.5))) * _LOG_2
        series = _C2 + r * (_C3 + r * (_C4 + r * (_C5 + r * _C6)))
        value = (np.float32(1) + r * (np.float32(1) + r * series)) * powers[x]
        result[x] = np.float32(0) if t < _LEAST else value


@compiled
def entropies(scores: Any, sharpness: Any, uniform: Any, entropy: Any, start: int, stop: int) -> None:
    """entropy (Z, N) of the softmax of sharpness * scores (K, Z, N), shares below 1e-6 counted as 1e-6.

    uniform: ln K. Everything is relative to it, so that equal scores have exactly this entropy.
    """
    count, _, size = scores.shape
    block = 256
    exponents = np.empty((count, block), np.float32)
    shares = np.empty((count, block), np.float32)
    powers = np.empty(block, np.float32)
    bits = powers.view(np.int32)
    top = np.empty(block, np.float32)
    total = np.empty(block, np.float32)
    logarithm = np.empty(block, np.float32)
    weighted = np.empty(block, np.float32)
    for z in range(start, stop):
        for begin in range(0, size, block):
            n = min(block, size - begin)
            for x in range(n):
                top[x] = scores[0, z, begin + x]
                total[x] = np.float32(0)
            for k in range(1, count):
                _keep_larger(top[:n], scores[k, z, begin : begin + n])
            for k in range(count):
                _relative(scores[k, z, begin : begin + n], top[:n], sharpness, exponents[k, :n])
                _powers_of_two(exponents[k, :n], bits[:n])
                _exponential(exponents[k, :n], powers[:n], shares[k, :n])
                add(shares[k, :n], total[:n])
            for x in range(n):
                logarithm[x] = np.log(total[x] / np.float32(count)) + uniform
                top[x] = np.float32(1) / total[x]
                total[x] = np.float32(1)
                weighted[x] = np.float32(0)
            for k in range(count):
                _add_share(shares[k, :n], exponents[k, :n], top[:n], logarithm[:n], total[:n], weighted[:n])
            for x in range(n):
                entropy[z, begin + x] = logarithm[x] + np.log(total[x]) - weighted[x] / total[x]


@compiled
def _keep_larger(largest: Any, values: Any) -> None:
    for x in range(len(largest)):
        largest[x] = values[x] if values[x] > largest[x] else largest[x]


@compiled
def _relative(values: Any, largest: Any, factor: Any, result: Any) -> None:
    for x in range(len(values)):
        result[x] = factor * (values[x] - largest[x])


@compiled
def _add_share(values: Any, exponents: Any, scale: Any, logarithm: Any, total: Any, weighted: Any) -> None:
    """Of shares p = e^t / Z = values * scale: total += what raising them adds, weighted += p (ln p + ln Z)."""
    for x in range(len(values)):
        share = values[x] * scale[x]
        small = share < _LEAST_SHARE
        total[x] += _LEAST_SHARE - share if small else np.float32(0)
        exponent = _LOG_LEAST_SHARE + logarithm[x] if small else exponents[x]
        weighted[x] += (_LEAST_SHARE if small else share) * exponent
