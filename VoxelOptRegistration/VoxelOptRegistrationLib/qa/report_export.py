"""The HTML report of a registration, drawn by a process of its own from what the scene holds now."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import slicer
import vtk

from ..errors import ComputationError, InputError
from ..mrml.environment import python_executable, temporary_folder
from ..mrml.geometry import Geometry
from ..mrml.record import Registration
from ..mrml.transforms import sample_displacement
from ..mrml.translation import tr as _
from ..mrml.volumes import place_volume
from ..worker.arrays import ImageDescriptor, write_array
from .pair import changed_since, matches, moving_on_fixed

REQUEST, PAGE = "request.json", "report.html"
_MODULE = f"{__package__.rpartition('.')[0]}.worker.report_page"


class ReportExport:
    """A report being drawn. `poll` until it returns True; then it is at `path`.

    Raises `InputError` at once where the run's entropy or Jacobian volume is no longer there.
    """

    def __init__(self, registration: Registration, path: Path) -> None:
        self.path = path
        arrays = _arrays(registration)
        self._folder = Path(tempfile.mkdtemp(prefix="voxelopt-report-", dir=temporary_folder()))
        try:
            images = {name: asdict(_write(self._folder, name, *arrays[name])) for name in arrays}
            report = _named(registration)
            (self._folder / REQUEST).write_text(json.dumps({"report": report, "images": images}), encoding="utf-8")
            self._process = _start(self._folder)
        except BaseException:
            self._remove_folder()
            raise

    def poll(self) -> bool:
        """Whether the report is there; raises `ComputationError` where it could not be drawn or put there."""
        code = self._process.poll()
        if code is None:
            return False
        _output, stderr = self._process.communicate()
        try:
            if code != 0:
                logging.getLogger(__name__).error("Drawing a report failed:\n%s", stderr)
                lines = stderr.strip().splitlines() or [f"its process ended with {code}"]
                raise ComputationError(
                    _("The report could not be drawn: {cause}").format(cause=lines[-1]), _("See the log for details.")
                )
            shutil.copyfile(self._folder / PAGE, self.path)
        except OSError as error:
            raise ComputationError(
                _("{path} cannot be written: {cause}.").format(path=self.path, cause=error.strerror),
                _("Choose another file."),
            ) from error
        finally:
            self._remove_folder()
        return True

    def wait(self, timeout: float = 600.0) -> None:
        """Poll until the report is there; raises `ComputationError` after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self.poll():
            if time.monotonic() > deadline:
                self.cancel()
                raise ComputationError(
                    _("The report was not drawn within {seconds:.0f} s.").format(seconds=timeout), _("Try again.")
                )
            time.sleep(0.05)

    def cancel(self) -> None:
        """Stop and leave nothing behind."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._remove_folder()

    def _remove_folder(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _arrays(registration: Registration) -> dict[str, tuple[np.ndarray, Geometry]]:
    fixed = place_volume(registration.fixed, _("fixed volume"))
    moving = place_volume(registration.moving, _("moving volume"), ignored=registration.transform)
    lattice = fixed.geometry
    changed = changed_since(registration)
    maps = {}
    for name, node in (("jacobian", registration.jacobian), ("entropy", registration.entropy)):
        if node is None or not matches(node, lattice):
            raise InputError(
                _("The {what} volume of this registration is no longer in the scene, or was changed.").format(
                    what=name
                ),
                _("Run the registration again, then export its report."),
            )
        maps[name] = (slicer.util.arrayFromVolume(node), lattice)
    expected = registration.expected_error
    if expected is not None and matches(expected, lattice):
        maps["expected_error"] = (slicer.util.arrayFromVolume(expected), lattice)
    from_world = vtk.vtkGeneralTransform()
    registration.transform.GetTransformFromWorld(from_world)
    displacement = sample_displacement(from_world, lattice)
    displacement[..., :2] *= -1
    return {
        "fixed": (fixed.array, lattice),
        "moving": (moving.array, moving.geometry),
        "warped": (moving_on_fixed(registration, lattice, True, changed="moving" in changed), lattice),
        "displacement": (displacement, lattice),
        **maps,
    }


def _write(folder: Path, name: str, array: np.ndarray, geometry: Geometry) -> ImageDescriptor:
    return write_array(folder, name, array, geometry.index_to_lps)


def _named(registration: Registration) -> dict[str, object]:
    """The report with the volumes called as in the scene, and a warning about those that have changed since."""
    inputs = dict(registration.report.get("inputs", {}))
    for role, node in (("fixed", registration.fixed), ("moving", registration.moving)):
        inputs[role] = {**inputs.get(role, {}), "name": node.GetName()}
    warnings = [
        f"The {role} volume was changed or moved after registration; the pictures show it as it is now."
        for role in changed_since(registration)
    ]
    return {**registration.report, "inputs": inputs, "warnings": [*warnings, *registration.report.get("warnings", [])]}


def _start(folder: Path) -> subprocess.Popen[str]:
    package_root = str(Path(__file__).resolve().parents[2])
    search_path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        [python_executable(), "-m", _MODULE, str(folder)],
        env={**os.environ, "PYTHONPATH": search_path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
