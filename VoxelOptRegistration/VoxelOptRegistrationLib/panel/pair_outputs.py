"""Each pair of volumes keeps its own results: choosing another pair never overwrites what an earlier one gave."""

from __future__ import annotations

from typing import Any

import slicer

from ..mrml.record import Registration, registrations

_OUTPUTS = {
    "outputTransform": "transform",
    "outputVolume": "warped",
    "entropyVolume": "entropy",
    "jacobianVolume": "jacobian",
    "expectedErrorVolume": "expected_error",
    "inverseTransform": "inverse",
}
"""Parameters and the parts of a `Registration` that they hold."""


class PairOutputs:
    """Sets the output parameters when the user chooses other volumes: to that pair's results, or to new nodes.

    Nodes that belong to no pair, such as new ones that the user has made for the result, are left as they are chosen.
    """

    def __init__(self) -> None:
        self._parameters: Any = None
        self._pair: tuple[Any, Any] = (None, None)

    def setParameterNode(self, parameters: Any) -> None:
        """Follow this parameter node; None: none."""
        self._parameters = parameters
        self._pair = _pair(parameters)

    def update(self) -> None:
        """Follow the choice of volumes."""
        pair = _pair(self._parameters)
        if None in pair or pair == self._pair:
            return
        self._pair = pair
        known = _registration(*pair)
        with slicer.util.NodeModify(self._parameters):
            for name, part in _OUTPUTS.items():
                chosen = getattr(self._parameters, name)
                if chosen is None or _belongs_elsewhere(chosen, pair):
                    setattr(self._parameters, name, getattr(known, part) if known is not None else None)


def _pair(parameters: Any) -> tuple[Any, Any]:
    return (None, None) if parameters is None else (parameters.fixedVolume, parameters.movingVolume)


def _registration(fixed: Any, moving: Any) -> Registration | None:
    """The latest registration of these two volumes that the scene remembers."""
    found = [known for known in registrations(fixed.GetScene()) if known.fixed is fixed and known.moving is moving]
    return found[-1] if found else None


def _belongs_elsewhere(node: Any, pair: tuple[Any, Any]) -> bool:
    kind = slicer.vtkMRMLTransformNode
    roles = (kind.GetFixedNodeReferenceRole(), kind.GetMovingNodeReferenceRole())
    referred = {node.GetNodeReferenceID(role) for role in roles}
    return referred != {None} and referred != {volume.GetID() for volume in pair}
