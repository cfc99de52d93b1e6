"""Slicer module VoxelOptRegistration: what the module list shows, its panel, its logic and its self-test.

The work is done in VoxelOptRegistrationLib. Neither torch nor SimpleITK is imported here: registrations run in a
process of their own.
"""

from typing import Annotated, Any

import numpy as np
import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLTransformNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin
from VoxelOptRegistrationLib.errors import Cancelled
from VoxelOptRegistrationLib.mrml.job import RegistrationJob
from VoxelOptRegistrationLib.mrml.logic import RegistrationLogic, RegistrationResult
from VoxelOptRegistrationLib.mrml.sample import add_sample_pair
from VoxelOptRegistrationLib.presets import preset_names
from VoxelOptRegistrationLib.progress import Progress


class VoxelOptRegistration(ScriptedLoadableModule):
    """What Slicer shows about the module before it is opened."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("VoxelOpt Registration")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.dependencies = []
        self.parent.contributors = ["VoxelOptRegistration contributors"]
        self.parent.helpText = _(
            "Deformable registration of CT and MR volumes. Choose the volume that stays (fixed), the one to bring onto "
            "it (moving) and a preset, then press Apply. The result is a displacement transform, the moving volume on "
            "the fixed grid, and two maps to judge it by: displacement entropy (bright where the images do not decide "
            "the displacement) and the Jacobian determinant (magenta where tissue would fold)."
        )
        self.parent.acknowledgementText = _(
            "The method: Zhang H, Zhang Y, Wang J, Chen X, Hu R, Tian X, Li G, Liu M. VoxelOpt: Voxel-Adaptive Message "
            "Passing for Discrete Optimization in Deformable Abdominal CT Registration. arXiv 2506.19975, 2025."
        )


@parameterNodeWrapper
class VoxelOptRegistrationParameterNode:
    """The panel's state, saved with the scene."""

    fixedVolume: vtkMRMLScalarVolumeNode
    movingVolume: vtkMRMLScalarVolumeNode
    preset: Annotated[str, Choice(preset_names())] = "generic"
    device: str = "auto"
    outputTransform: vtkMRMLTransformNode
    outputVolume: vtkMRMLScalarVolumeNode
    entropyVolume: vtkMRMLScalarVolumeNode
    jacobianVolume: vtkMRMLScalarVolumeNode


class VoxelOptRegistrationWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: two volumes, a preset, and a button that starts and cancels."""

    def __init__(self, parent: Any = None) -> None:
        self.logic = VoxelOptRegistrationLogic()
        self._parameterNode: Any = None
        self._parameterNodeGuiTag: int | None = None
        self._job: Any = None
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        self.fixedSelector = self._volumeSelector(_("The volume that stays as it is."))
        self.movingSelector = self._volumeSelector(_("The volume that is brought onto the fixed one."))
        self.presetSelector = qt.QComboBox()
        self.presetSelector.toolTip = _("Settings for a kind of images; generic suits any pair.")
        self.applyButton = qt.QPushButton(_("Apply"))
        self.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.progressBar = qt.QProgressBar()
        self.progressBar.setRange(0, 100)
        self.progressBar.visible = False
        self.statusLabel = qt.QLabel()
        self.statusLabel.wordWrap = True
        form = qt.QFormLayout()
        form.addRow(_("Fixed volume:"), self.fixedSelector)
        form.addRow(_("Moving volume:"), self.movingSelector)
        form.addRow(_("Preset:"), self.presetSelector)
        self.layout.addLayout(form)
        for widget in (self.applyButton, self.progressBar, self.statusLabel):
            self.layout.addWidget(widget)
        self.layout.addStretch(1)
        self.addObserver(slicer.mrmlScene, slicer.vtkMRMLScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.vtkMRMLScene.EndCloseEvent, self.onSceneEndClose)
        self.setParameterNode(self.logic.getParameterNode())

    def cleanup(self) -> None:
        """End the background process and let go of the scene; called when the module is unloaded or Slicer ends."""
        self.setParameterNode(None)
        self.removeObservers()
        self._job = None
        self.logic.close()

    def enter(self) -> None:
        if self._parameterNode is None:
            self.setParameterNode(self.logic.getParameterNode())

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        self.setParameterNode(None)

    def onSceneEndClose(self, caller: Any, event: Any) -> None:
        if self.parent.isEntered:
            self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode: Any) -> None:
        """Show and edit this parameter node; None: none."""
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.updateButtons)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectParametersToGui(
                {
                    "fixedVolume": self.fixedSelector,
                    "movingVolume": self.movingSelector,
                    "preset": self.presetSelector,
                }
            )
            self.addObserver(parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.updateButtons)
        self.updateButtons()

    def updateButtons(self, caller: Any = None, event: Any = None) -> None:
        parameters = self._parameterNode
        ready = parameters is not None and parameters.fixedVolume is not None and parameters.movingVolume is not None
        running = self._job is not None
        self.applyButton.text = _("Cancel") if running else _("Apply")
        self.applyButton.enabled = running or ready
        self.progressBar.visible = running

    def onApplyButton(self) -> None:
        if self._job is not None:
            self.statusLabel.text = _("Cancelling ...")
            self._job.cancel()
            return
        with slicer.util.tryWithErrorDisplay(_("The registration could not start."), waitCursor=True):
            self.progressBar.value = 0
            self._job = self.logic.registerFromParameters(
                self._parameterNode,
                waitForCompletion=False,
                progressCallback=self.onProgress,
                completedCallback=self.onCompleted,
            )
        self.updateButtons()

    def onProgress(self, progress: Progress) -> None:
        self.progressBar.value = round(100 * progress.fraction)
        self.statusLabel.text = progress.text

    def onCompleted(self, job: RegistrationJob) -> None:
        if self._job is None:
            return
        self._job = None
        self.updateButtons()
        if job.error is None:
            done = _("Done: {name}").format(name=job.result.outputTransformNode.GetName())
            self.statusLabel.text = "\n".join([done, *job.result.report["warnings"]])
            self._showResult(job.result)
            return
        self.statusLabel.text = str(job.error)
        if not isinstance(job.error, Cancelled):
            slicer.util.errorDisplay(_("The registration failed."), detailedText=str(job.error))

    def _showResult(self, result: RegistrationResult) -> None:
        """Remember the outputs, so that the next run fills the same nodes, and lay the warped volume over the fixed."""
        parameters = self._parameterNode
        if parameters is not None:
            parameters.outputTransform = result.outputTransformNode
            parameters.outputVolume = result.outputVolumeNode
            parameters.entropyVolume = result.entropyVolumeNode
            parameters.jacobianVolume = result.jacobianVolumeNode
            slicer.util.setSliceViewerLayers(
                background=parameters.fixedVolume, foreground=result.outputVolumeNode, foregroundOpacity=0.5
            )

    def _volumeSelector(self, toolTip: str) -> slicer.qMRMLNodeComboBox:
        selector = slicer.qMRMLNodeComboBox()
        selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        selector.hideChildNodeTypes = ["vtkMRMLLabelMapVolumeNode", "vtkMRMLVectorVolumeNode"]
        selector.noneEnabled = True
        selector.addEnabled = False
        selector.removeEnabled = False
        selector.setMRMLScene(slicer.mrmlScene)
        selector.toolTip = toolTip
        return selector


class VoxelOptRegistrationLogic(ScriptedLoadableModuleLogic, RegistrationLogic):
    """`RegistrationLogic` in the application: a job that is not waited for is served by Qt's event loop."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        RegistrationLogic.__init__(self, scheduler=qt.QTimer.singleShot)

    def getParameterNode(self) -> VoxelOptRegistrationParameterNode:
        return VoxelOptRegistrationParameterNode(super().getParameterNode())  # type: ignore[call-arg]


class VoxelOptRegistrationTest(ScriptedLoadableModuleTest):
    """Registers the generated pair, as a user would, and looks at known points."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_SamplePair()

    def test_SamplePair(self) -> None:
        self.delayDisplay(_("Registering a generated pair of volumes"))
        sample = add_sample_pair(size_zyx=(48, 56, 72))
        logic = VoxelOptRegistrationLogic()
        try:
            result = logic.registerVolumes(sample.fixed, sample.moving, preset="abdomen-ct")
        finally:
            logic.close()
        assert isinstance(result, RegistrationResult)
        transform = vtk.vtkGeneralTransform()
        result.outputTransformNode.GetTransformFromWorld(transform)
        found = np.array([transform.TransformPoint(point) for point in sample.fixed_points])
        before = np.linalg.norm(sample.fixed_points - sample.moving_points, axis=1).mean()
        after = np.linalg.norm(found - sample.moving_points, axis=1).mean()
        self.assertLess(after, before / 2)
        self.delayDisplay(_("Test passed"))
