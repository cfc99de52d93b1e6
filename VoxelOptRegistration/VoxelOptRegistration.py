"""Slicer module VoxelOptRegistration: what the module list shows, its panel, its logic and its self-test.

The work is done in VoxelOptRegistrationLib. Neither torch nor SimpleITK is imported here: registrations run in a
process of their own.
"""

import importlib.util
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin
from VoxelOptRegistrationLib.mrml.environment import torch_version
from VoxelOptRegistrationLib.mrml.job import RegistrationJob
from VoxelOptRegistrationLib.mrml.logic import RegistrationLogic, RegistrationResult
from VoxelOptRegistrationLib.mrml.parameters import changed_options, settle_preset, show_preset
from VoxelOptRegistrationLib.mrml.sample import add_sample_pair
from VoxelOptRegistrationLib.mrml.sample_data import register_sample_data
from VoxelOptRegistrationLib.panel.dependencies import ensure_dependencies, repair_torch
from VoxelOptRegistrationLib.panel.device_box import DeviceBox
from VoxelOptRegistrationLib.panel.mask_section import MaskSegments
from VoxelOptRegistrationLib.panel.options_section import OptionsSection
from VoxelOptRegistrationLib.panel.pair_outputs import PairOutputs
from VoxelOptRegistrationLib.panel.parameters import ResultPlacement, VoxelOptRegistrationParameterNode
from VoxelOptRegistrationLib.panel.qa_section import QASection
from VoxelOptRegistrationLib.panel.result_section import ResultSection
from VoxelOptRegistrationLib.panel.run_section import RunSection

WARM_SETTING = "VoxelOptRegistration/StartAhead"
"""Slicer's user setting: false leaves the registration process unstarted until it is needed."""
WARM_MILLISECONDS = 300
"""Between opening the module and the start of the process, so that the panel is drawn first."""


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
            "the fixed grid, and three maps to judge it by: displacement entropy (bright where the images do not "
            "decide the displacement), the error to be expected, and the Jacobian determinant (magenta where tissue "
            "would fold)."
        )
        self.parent.acknowledgementText = _(
            "The method: Zhang H, Zhang Y, Wang J, Chen X, Hu R, Tian X, Li G, Liu M. VoxelOpt: Voxel-Adaptive Message "
            "Passing for Discrete Optimization in Deformable Abdominal CT Registration. arXiv 2506.19975, 2025."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData() -> None:
    """Offer pairs to try the module on in Slicer's module Sample Data."""
    register_sample_data(Path(__file__).resolve().parent / "Resources" / "Icons")


class VoxelOptRegistrationWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel. Its parts are in VoxelOptRegistrationLib.panel; here they are put together and told of the scene."""

    def __init__(self, parent: Any = None) -> None:
        self.logic = VoxelOptRegistrationLogic()
        self._parameterNode: Any = None
        self._parameterNodeGuiTag: int | None = None
        self._importing = False
        self._cleaned = False
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/VoxelOptRegistration.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.run = RunSection(self.ui, self.start, self.repair, self.showResult, self.onRunChanged)
        self.result = ResultSection(self.ui, self.logic)
        self.options = OptionsSection(self.ui)
        self.devices = DeviceBox(self.ui, self.logic, self.run.offerRepair)
        self.qa = QASection(self.ui.qaContainer)
        self.parts: list[Any] = [PairOutputs(), self.options, self.devices, self.result, self.qa, self.run]
        for role in ("fixed", "moving"):
            selector = f"{role}MaskSegmentSelector"
            self.parts.append(MaskSegments(getattr(self.ui, selector), getattr(self.ui, f"{selector}Label"), role))
        for event, method in (
            (slicer.vtkMRMLScene.StartCloseEvent, self.onSceneStartClose),
            (slicer.vtkMRMLScene.EndCloseEvent, self.onSceneEndClose),
            (slicer.vtkMRMLScene.StartImportEvent, self.onSceneStartImport),
            (slicer.vtkMRMLScene.EndImportEvent, self.onSceneEndImport),
            (slicer.vtkMRMLScene.StartSaveEvent, self.onSceneStartSave),
        ):
            self.addObserver(slicer.mrmlScene, event, method)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """End the background process and let go of the scene; called when the module is unloaded or Slicer ends."""
        self._cleaned = True
        self.run.close()
        self.devices.close()
        self.qa.close()
        self.setParameterNode(None)
        self.removeObservers()
        self.logic.close()

    def enter(self) -> None:
        if self._parameterNode is None:
            self.initializeParameterNode()
        self.updatePanel()
        qt.QTimer.singleShot(WARM_MILLISECONDS, self.warm)

    def warm(self) -> None:
        """Start the registration process, which takes seconds, while the user is choosing volumes."""
        if self._cleaned or self._parameterNode is None or not self.parent.isEntered:
            return
        wanted = slicer.util.toBool(slicer.app.userSettings().value(WARM_SETTING, True))
        if wanted and not slicer.app.testingEnabled():
            self.logic.warm(self._parameterNode.device)

    def exit(self) -> None:
        """The user goes to another module: the slice views show again what they showed before they were used here."""
        self.qa.leave()

    def onSceneStartSave(self, caller: Any, event: Any) -> None:
        self.qa.leave()
        self.run.hidePreview()

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        self.run.cancel()
        self.qa.leave()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller: Any, event: Any) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneStartImport(self, caller: Any, event: Any) -> None:
        # The parameter node is filled bit by bit now; a wrapper that watches would show and keep half of it.
        self._importing = self._parameterNode is not None
        self.setParameterNode(None)

    def onSceneEndImport(self, caller: Any, event: Any) -> None:
        if self._importing:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Show the parameter node of the scene."""
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode: Any) -> None:
        """Show and edit this parameter node; None: none."""
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.updatePanel)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            settle_preset(parameterNode)
            widgets = vars(self.ui).values()
            names = {widget.property("SlicerParameterName"): widget for widget in widgets}
            names.pop(None, None)
            self._parameterNodeGuiTag = parameterNode.connectParametersToGui(names)
            self.addObserver(parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.updatePanel)
        for part in self.parts:
            part.setParameterNode(parameterNode)

    def updatePanel(self, caller: Any = None, event: Any = None) -> None:
        for part in self.parts:
            part.update()

    def start(self, **callbacks: Any) -> RegistrationJob:
        """Begin the registration that the parameter node describes, once everything it needs is installed."""
        self.qa.leave()
        if ensure_dependencies(Path(self.resourcePath("requirements.txt")), _("VoxelOpt Registration")):
            self.logic.renew()
        job = self.logic.registerFromParameters(self._parameterNode, waitForCompletion=False, **callbacks)
        assert isinstance(job, RegistrationJob)
        return job

    def repair(self) -> None:
        """Install PyTorch again and try it; the registration process ends before, as it holds PyTorch's files."""
        self.logic.close()
        repair_torch()
        self.devices.refresh()

    def onRunChanged(self) -> None:
        """A run has begun or ended: its input cannot be changed meanwhile."""
        running = self.run.running
        for section in ("inputs", "outputs", "masks", "alignment", "maps", "advanced", "device"):
            getattr(self.ui, f"{section}Section").enabled = not running
        self.result.setRunning(running)
        self.qa.setRunning(running)

    def showResult(self, job: RegistrationJob) -> str:
        """Remember the outputs, so that the next run fills the same nodes, and lay the result over the fixed volume.

        Returns what could not be done, for the user.
        """
        parameters, result = self._parameterNode, job.result
        if parameters is None:
            return ""
        with slicer.util.NodeModify(parameters):
            parameters.outputTransform = result.outputTransformNode
            parameters.outputVolume = result.outputVolumeNode or parameters.outputVolume
            parameters.entropyVolume = result.entropyVolumeNode
            parameters.jacobianVolume = result.jacobianVolumeNode
            parameters.expectedErrorVolume = result.expectedErrorVolumeNode
            parameters.inverseTransform = result.outputInverseTransformNode or parameters.inverseTransform
        trouble = ""
        if parameters.placement is not ResultPlacement.VOLUME:
            trouble = self.result.apply(result.outputTransformNode, parameters.movingVolume, parameters.fixedVolume)
        self.qa.onResult()
        shown = result.outputVolumeNode or parameters.movingVolume
        slicer.util.setSliceViewerLayers(background=parameters.fixedVolume, foreground=shown, foregroundOpacity=0.5)
        return trouble


class VoxelOptRegistrationLogic(ScriptedLoadableModuleLogic, RegistrationLogic):
    """`RegistrationLogic` in the application: a job that is not waited for is served by Qt's event loop."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        RegistrationLogic.__init__(self, scheduler=qt.QTimer.singleShot)

    def getParameterNode(self) -> VoxelOptRegistrationParameterNode:
        node = super().getParameterNode()
        # Slicer's wrapper leaves observers on the node, which hold on to the wrapper, which holds on to the node. Had
        # Python no other reference, the garbage collector would empty them while the node still calls them: a crash.
        slicer.modules.VoxelOptRegistrationParameterNode = node
        return VoxelOptRegistrationParameterNode(node)  # type: ignore[call-arg]


class VoxelOptRegistrationTest(ScriptedLoadableModuleTest):
    """Registers the generated pair, as a user would, and looks at known points; before that, what needs no PyTorch."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        tests = (
            self.test_SampleData,
            self.test_SampleVolumes,
            self.test_Parameters,
            self.test_Panel,
            self.test_SamplePair,
        )
        for test in tests:
            self.setUp()
            try:
                test()
            except unittest.SkipTest as reason:
                self.delayDisplay(_("Left out: {reason}").format(reason=reason))
        self.delayDisplay(_("Test passed"))

    def test_SampleData(self) -> None:
        """Both pairs are offered in the module Sample Data."""

        def offered() -> set[str]:
            return {source.sampleName for sources in slicer.modules.sampleDataSources.values() for source in sources}

        if "VoxelOptAbdomenPair" not in offered():  # the test may run before Slicer says that it has started
            registerSampleData()
        self.assertLessEqual({"VoxelOptAbdomenPair", "VoxelOptBrainTumorPair"}, offered())

    def test_SampleVolumes(self) -> None:
        """The generated pair has contrast, and its points lie in it."""
        self._requireSimpleITK()
        self.delayDisplay(_("Generating a pair of volumes"))
        pair = add_sample_pair(size_zyx=(24, 28, 36))
        for node, points in ((pair.fixed, pair.fixed_points), (pair.moving, pair.moving_points)):
            self.assertGreater(slicer.util.arrayFromVolume(node).std(), 100)
            bounds = np.zeros(6)
            node.GetRASBounds(bounds)
            self.assertTrue(((points > bounds[::2]) & (points < bounds[1::2])).all())

    def test_Parameters(self) -> None:
        """The parameter node starts with the first preset, and remembers what is set, also for the next wrapper."""

        def parameters() -> Any:
            return VoxelOptRegistrationLogic().getParameterNode()

        settle_preset(parameters())
        self.assertEqual((parameters().preset, changed_options(parameters())), ("generic", {}))
        parameters().preset = "lung-ct"
        show_preset(parameters())
        parameters().levels = 3
        self.assertEqual(changed_options(parameters()), {"solver.levels": "3"})
        with self.assertRaises(ValueError):
            parameters().levels = 99

    def test_Panel(self) -> None:
        """The panel says what is missing, and takes what it is given."""
        widget = slicer.modules.voxeloptregistration.widgetRepresentation().self()
        widget.enter()
        self.assertFalse(widget.ui.applyButton.enabled)
        for selector in (widget.ui.fixedSelector, widget.ui.movingSelector):
            volume = np.zeros((4, 5, 6), np.int16)
            selector.setCurrentNode(slicer.util.addVolumeFromArray(volume))
            self.assertEqual(widget.ui.applyButton.enabled, selector is widget.ui.movingSelector)
        self.assertIs(widget.logic.getParameterNode().movingVolume, widget.ui.movingSelector.currentNode())
        slicer.mrmlScene.Clear()
        self.assertFalse(widget.ui.applyButton.enabled)

    def test_SamplePair(self) -> None:
        """A registration finds known points."""
        if torch_version() is None:
            self.skipTest(_("PyTorch is not installed in this Slicer, and a test installs nothing"))
        self._requireSimpleITK()
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

    def _requireSimpleITK(self) -> None:
        if importlib.util.find_spec("SimpleITK") is None:
            self.skipTest(_("SimpleITK is not installed in this Slicer, and a test installs nothing"))
