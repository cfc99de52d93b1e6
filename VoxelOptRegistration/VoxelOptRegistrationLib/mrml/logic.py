"""Registration of volume nodes: what the module's logic does, usable wherever there is a MRML scene, without Qt."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import slicer

from .. import __version__
from ..errors import ComputationError, InputError
from ..presets import apply_overrides, load_preset, settings_to_dict, with_method
from ..progress import Progress
from ..worker.client import WorkerClient
from ..worker.data import DeviceAnswer, ImageData, RegistrationOutcome, RegistrationRequest
from ..worker.folders import shared_memory
from .drawing import Scheduler
from .environment import python_executable, require_torch, temporary_folder, torch_damage, torch_version
from .job import POLL_MILLISECONDS, Listeners, RegistrationJob
from .landmarks import landmark_pairs
from .masks import label_images, mask_image
from .outputs import (
    DEFAULT_OUTPUTS,
    OutputNodes,
    check_chains,
    check_outputs,
    output_words,
    provenance_attributes,
    write_outputs,
)
from .parameters import Parameters, run_arguments
from .prepared import PreparedOutputs, prepare_outputs
from .preview import LivePreview
from .record import Registration, remember
from .transforms import apply_transform, initial_transform
from .translation import tr as _
from .volumes import place_volume


@dataclass(frozen=True, eq=False)
class RegistrationResult:
    """The outputs, named as the arguments of `RegistrationLogic.registerVolumes`, and the report of the run.

    outputVolumeNode and outputInverseTransformNode are None where they were neither given nor asked for.
    """

    outputTransformNode: slicer.vtkMRMLTransformNode
    outputVolumeNode: slicer.vtkMRMLScalarVolumeNode | None
    entropyVolumeNode: slicer.vtkMRMLScalarVolumeNode
    jacobianVolumeNode: slicer.vtkMRMLScalarVolumeNode
    outputInverseTransformNode: slicer.vtkMRMLTransformNode | None
    expectedErrorVolumeNode: slicer.vtkMRMLScalarVolumeNode
    report: dict[str, Any]


class RegistrationLogic:
    """Registers volume nodes in a background process that is started once and kept until `close`.

    scheduler: calls a function after some milliseconds on the thread of the scene, as ``qt.QTimer.singleShot`` does; a
    job that is not waited for needs it, or a caller that polls it. client: the background process, started on need.
    """

    def __init__(self, scheduler: Scheduler | None = None, client: WorkerClient | None = None) -> None:
        self._scheduler = scheduler
        self._client = client
        self._job: RegistrationJob | None = None

    def registerVolumes(
        self,
        fixedVolumeNode: slicer.vtkMRMLScalarVolumeNode,
        movingVolumeNode: slicer.vtkMRMLScalarVolumeNode,
        *,
        preset: str = "generic",
        outputTransformNode: slicer.vtkMRMLTransformNode | None = None,
        outputVolumeNode: slicer.vtkMRMLScalarVolumeNode | None = None,
        entropyVolumeNode: slicer.vtkMRMLScalarVolumeNode | None = None,
        jacobianVolumeNode: slicer.vtkMRMLScalarVolumeNode | None = None,
        fixedMaskNode: slicer.vtkMRMLNode | None = None,
        movingMaskNode: slicer.vtkMRMLNode | None = None,
        fixedSegmentationNode: slicer.vtkMRMLNode | None = None,
        movingSegmentationNode: slicer.vtkMRMLNode | None = None,
        initialTransformNode: slicer.vtkMRMLTransformNode | None = None,
        device: str = "auto",
        waitForCompletion: bool = True,
        progressCallback: Callable[[Progress], None] | None = None,
        completedCallback: Callable[[RegistrationJob], None] | None = None,
        outputInverseTransformNode: slicer.vtkMRMLTransformNode | None = None,
        options: Mapping[str, str] | None = None,
        fixedMaskSegmentIDs: Collection[str] = (),
        movingMaskSegmentIDs: Collection[str] = (),
        createOutputVolume: bool = True,
        createInverseTransform: bool = False,
        livePreview: bool = False,
        logCallback: Callable[[str], None] | None = None,
        fixedLandmarksNode: slicer.vtkMRMLMarkupsNode | None = None,
        movingLandmarksNode: slicer.vtkMRMLMarkupsNode | None = None,
        expectedErrorVolumeNode: slicer.vtkMRMLScalarVolumeNode | None = None,
        method: str | None = None,
    ) -> RegistrationResult | RegistrationJob:
        """Find the displacement that brings the moving volume onto the fixed one.

        Volumes may be oblique, left-handed, and under parent transforms, which are respected. Masks and segmentations
        are label map volumes or segmentations; a mask is the union of its segments, or of those named by
        fixedMaskSegmentIDs and movingMaskSegmentIDs; structures of the two segmentations are matched by name and used
        to measure overlap, and, with features such as ``{"features.name": "mind+labels"}``, to register. Landmarks are
        markups with the same points in the same order; the result is bent towards them, by the options landmarks.weight
        and landmarks.radius. The initial transform is one that the moving volume could be put under to lie roughly on
        the fixed one, linear or not; it becomes part of the result.

        The output transform is a displacement grid between world positions: `applyTransform` puts the moving volume
        under it, nothing is applied otherwise. The output volumes lie on the fixed volume's voxels and under its parent
        transform; where that is not linear, in the world. Output nodes that are not given are created on success; the
        inverse transform only with createInverseTransform, the output volume not without createOutputVolume. A failed
        or cancelled run changes no node.

        livePreview: after every level of the search the moving volume is shown where the field so far puts it, under
        a transform node that is in the scene only during the run.
        logCallback: called with lines for a log pane.
        method: solves in place of the preset's, with the refinement that belongs to it; one of `presets.METHODS`.
        options: single settings of the preset (and method) replaced, such as ``{"solver.levels": "4"}``.
        waitForCompletion: True returns a `RegistrationResult` or raises `InputError`, `ComputationError`, `Cancelled`;
        False returns a `RegistrationJob` at once (after raising `InputError` for wrong input). completedCallback is
        called with the job when it has ended, well or not; progressCallback with each `Progress`.
        """
        outputs = OutputNodes(
            outputTransformNode,
            outputVolumeNode,
            entropyVolumeNode,
            jacobianVolumeNode,
            outputInverseTransformNode,
            expectedErrorVolumeNode,
        )
        fixed = place_volume(fixedVolumeNode, _("fixed volume"))
        moving = place_volume(movingVolumeNode, _("moving volume"), ignored=outputTransformNode)
        read = {
            _("fixed volume"): fixedVolumeNode,
            _("moving volume"): movingVolumeNode,
            _("fixed mask"): fixedMaskNode,
            _("moving mask"): movingMaskNode,
            _("fixed segmentation"): fixedSegmentationNode,
            _("moving segmentation"): movingSegmentationNode,
            _("fixed landmarks"): fixedLandmarksNode,
            _("moving landmarks"): movingLandmarksNode,
        }
        check_outputs(outputs, read)
        check_chains(fixedVolumeNode, movingVolumeNode, outputs, initialTransformNode)
        base = with_method(load_preset(preset), method) if method else load_preset(preset)
        settings = settings_to_dict(replace(apply_overrides(base, dict(options or {})), device=device))
        if (fixedSegmentationNode is None) != (movingSegmentationNode is None):
            raise InputError(
                _("Only one segmentation is given."), _("Give both, so that their overlap can be measured, or none.")
            )
        labels: tuple[ImageData | None, ImageData | None] = (None, None)
        if fixedSegmentationNode is not None:
            labels = label_images(fixedSegmentationNode, movingSegmentationNode, fixed, moving)
        wanted = (DEFAULT_OUTPUTS - (set() if createOutputVolume else {"volume"})) | set(outputs.given())
        wanted |= {"inverse"} if createInverseTransform else set()
        landmarks = landmark_pairs(fixedLandmarksNode, movingLandmarksNode, fixed, moving)
        request = RegistrationRequest(
            fixed=fixed.image_data(),
            moving=moving.image_data(),
            fixed_mask=mask_image(fixedMaskNode, fixed, _("fixed mask"), fixedMaskSegmentIDs),
            moving_mask=mask_image(movingMaskNode, moving, _("moving mask"), movingMaskSegmentIDs),
            fixed_labels=labels[0],
            moving_labels=labels[1],
            initial=initial_transform(initialTransformNode, fixed.geometry)
            if initialTransformNode is not None
            else None,
            settings=settings,
            fixed_landmarks=landmarks[0],
            moving_landmarks=landmarks[1],
            inverse="inverse" in wanted,
        )
        date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        provenance = provenance_attributes(__version__, date, settings, fixedVolumeNode, movingVolumeNode)

        def prepare(outcome: RegistrationOutcome) -> tuple[PreparedOutputs, dict[str, Any]]:
            return prepare_outputs(outcome, wanted, fixed.geometry, moving.geometry), outcome.report

        def finish(made: tuple[PreparedOutputs, dict[str, Any]]) -> Generator[None, None, RegistrationResult]:
            prepared, report = made
            written = yield from write_outputs(prepared, outputs, fixed, moving, provenance)
            remember(Registration.of(fixedVolumeNode, movingVolumeNode, written, report))
            yield
            return RegistrationResult(
                written.transform,
                written.volume,
                written.entropy,
                written.jacobian,
                written.inverse,
                written.expected_error,
                report,
            )

        watched = {_("fixed volume"): fixedVolumeNode, _("moving volume"): movingVolumeNode}
        watched.update({output_words(name): node for name, node in outputs.given().items()})
        require_torch()
        scheduler = None if waitForCompletion else self._scheduler
        self._job = RegistrationJob(
            self._worker(),
            request,
            prepare,
            finish,
            watched,
            scheduler,
            Listeners(progressCallback, logCallback, completedCallback),
            LivePreview(fixedVolumeNode, movingVolumeNode, outputTransformNode, scheduler) if livePreview else None,
        )
        return self._completed(self._job) if waitForCompletion else self._job

    def registerFromParameters(self, parameters: Parameters, **keywords: Any) -> RegistrationResult | RegistrationJob:
        """`registerVolumes` with everything that a parameter node holds; further keywords are passed on."""
        return self.registerVolumes(**{**run_arguments(parameters), **keywords})

    def applyTransform(
        self,
        transformNode: slicer.vtkMRMLTransformNode,
        movingVolumeNode: slicer.vtkMRMLScalarVolumeNode,
        fixedVolumeNode: slicer.vtkMRMLScalarVolumeNode | None = None,
    ) -> None:
        """Put the moving volume, with the transforms that it already has, under the result; see `apply_transform`."""
        apply_transform(transformNode, movingVolumeNode, fixedVolumeNode)

    def requestDevices(self, answered: Callable[[DeviceAnswer], None]) -> None:
        """Have `answered` called with the devices that can compute here, as the background process finds them.

        It is called once, on this thread, later (needs a scheduler) or at once where the process cannot be started.
        """
        try:
            require_torch()
            self._worker().ask_devices(answered)
        except ComputationError as error:
            answered(DeviceAnswer(error=error))
            return
        self._await_answer()

    def warm(self, device: str = "auto") -> None:
        """Start the background process ahead of the first registration, on `device`, as settings name it; where it
        cannot be, nothing happens.
        """
        if torch_version() is None or torch_damage():
            return
        try:
            self._worker().warm(device)
        except ComputationError as error:
            logging.getLogger(__name__).info("The registration process was not started ahead: %s", error)

    def renew(self) -> None:
        """End the background process, which is idle: only the next one knows what has been installed since."""
        if self._client is not None:
            self._client.close()

    def _await_answer(self) -> None:
        if self._client is None or self._scheduler is None:
            return
        self._client.poll()
        if self._client.asked:
            self._scheduler(POLL_MILLISECONDS, self._await_answer)

    def close(self) -> None:
        """End the background process; a job under way is cancelled. The next registration starts a new one."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._job is not None:
            self._job.cancel()
            self._job.wait()
            self._job = None

    def _worker(self) -> WorkerClient:
        if self._client is None:
            self._client = WorkerClient(python_executable(), folder=temporary_folder(), memory=shared_memory())
        return self._client

    def _completed(self, job: RegistrationJob) -> RegistrationResult:
        try:
            job.wait()
        except BaseException:
            job.abandon()
            raise
        if job.error is not None:
            raise job.error
        result: RegistrationResult = job.result
        return result
