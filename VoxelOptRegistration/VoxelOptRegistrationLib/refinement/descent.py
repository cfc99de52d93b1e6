"""Adam (Kingma and Ba, ICLR 2015). torch has its own, which loads its compiler first: seconds of every process."""

from __future__ import annotations

import torch
from torch import Tensor

_FIRST_DECAY, _SECOND_DECAY = 0.9, 0.999


class Adam:
    """Moves one tensor down its gradients, in place; `rate` in the tensor's unit, `epsilon` in that of its gradient."""

    def __init__(self, parameter: Tensor, rate: float, epsilon: float) -> None:
        self._parameter, self._rate, self._epsilon = parameter, rate, epsilon
        self._first = torch.zeros_like(parameter)
        self._second = torch.zeros_like(parameter)
        self._steps = 0

    def step(self, gradient: Tensor) -> None:
        """One step against `gradient`, of the parameter's shape."""
        self._steps += 1
        self._first.lerp_(gradient, 1.0 - _FIRST_DECAY)
        self._second.mul_(_SECOND_DECAY).addcmul_(gradient, gradient, value=1.0 - _SECOND_DECAY)
        size = (self._second / (1.0 - _SECOND_DECAY**self._steps)).sqrt_().add_(self._epsilon)
        with torch.no_grad():
            self._parameter.addcdiv_(self._first, size, value=-self._rate / (1.0 - _FIRST_DECAY**self._steps))
