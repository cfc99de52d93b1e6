"""Apply, Cancel, and everything that is seen of a run: stage, time left, log, errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import Cancelled, InputError, RegistrationError
from ..mrml.drawing import drawn_in_turn
from ..mrml.job import RegistrationJob
from ..mrml.parameters import Missing, missing_input
from ..progress import Progress
from ..qa.layers import SavedViews, read_views, restore_views
from ..worker.job import JobState
from .error_words import error_words
from .stages import TimeLeft, duration_words, progress_words, time_share
from .told import waiting

LOG_LINES = 5000
TICK_MILLISECONDS = 500
_ERROR_STYLE = "color: #c0392b;"


class RunSection:
    """Looks after `ui.applyButton`, `ui.progressBar`, `ui.statusLabel`, `ui.repairButton` and `ui.logText`.

    start(progressCallback=, completedCallback=, logCallback=) begins a run and returns its job, or raises
    `RegistrationError`; repair() repairs PyTorch or raises; done(job) shows a successful result and returns what
    could not be done; changed() is called when a run begins and when it has ended.
    """

    def __init__(
        self,
        ui: Any,
        start: Callable[..., RegistrationJob],
        repair: Callable[[], None],
        done: Callable[[RegistrationJob], str],
        changed: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._start, self._repair, self._done, self._changed = start, repair, done, changed
        self._parameters: Any = None
        self._job: RegistrationJob | None = None
        self._views: SavedViews | None = None
        self._begin = 0.0
        self._left: TimeLeft | None = None
        self._closing = False
        ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        ui.repairButton.connect("clicked(bool)", self.onRepairButton)
        ui.clearLogButton.connect("clicked(bool)", self.onClearLog)
        ui.logText.maximumBlockCount = LOG_LINES
        ui.progressBar.visible = False
        ui.repairButton.visible = False
        self._say("")
        self.update()

    @property
    def running(self) -> bool:
        """Whether a run is on."""
        return self._job is not None

    def setParameterNode(self, parameters: Any) -> None:
        """Take the input from this parameter node; None: none."""
        self._parameters = parameters
        self.update()

    def update(self) -> None:
        """Let the button say what it does, or what is missing."""
        button = self._ui.applyButton
        if self._job is not None:
            cancelling = self._job.state is JobState.CANCELLING
            button.text = _("Cancelling ...") if cancelling else _("Cancel")
            button.toolTip = _("Stop the registration. The scene is left as it was before.")
            button.enabled = not cancelling
            return
        words, reason = self._readiness()
        button.text = words or _("Apply")
        button.toolTip = reason or words or _("Register the moving volume to the fixed one.")
        button.enabled = not words

    def cancel(self) -> None:
        """Cancel the run under way, if there is one."""
        if self._job is not None:
            self._job.cancel()

    def hidePreview(self) -> None:
        """Put the moving volume where it was until the next preview comes."""
        if self._job is not None:
            self._job.hidePreview()

    def close(self) -> None:
        """The panel goes: cancel, and touch no widget any more."""
        self._closing = True
        self.cancel()

    def onApplyButton(self) -> None:
        """Begin a run, or cancel the one under way."""
        if self._job is not None:
            self._job.cancel()
            self._say(_("Cancelling ..."))
            self.update()
            return
        self._say("")
        self._ui.repairButton.visible = False
        self._ui.progressBar.value = 0
        self._begin = time.monotonic()
        try:
            with waiting():
                self._job = self._start(
                    progressCallback=self.onProgress, completedCallback=self.onCompleted, logCallback=self.onLog
                )
        except RegistrationError as error:
            self._fail(error)
            return
        self._views = read_views(slicer.mrmlScene)
        self._left = TimeLeft(self._begin)
        with drawn_in_turn(qt.QTimer.singleShot):
            self._show_pair()
        self._ui.progressBar.visible = True
        self.onProgress(self._job.progress)
        self.update()
        self._changed()
        qt.QTimer.singleShot(TICK_MILLISECONDS, self.onTick)

    def onProgress(self, progress: Progress) -> None:
        """The run has made a step."""
        if self._left is not None:
            self._left.update(time_share(progress.fraction), time.monotonic())
        self._ui.progressBar.value = round(100 * time_share(progress.fraction))
        self._tell(progress)
        self.onLog(progress.text)

    def onTick(self) -> None:
        """Count the time left down between steps."""
        if self._job is None or self._closing:
            return
        self._tell(self._job.progress)
        qt.QTimer.singleShot(TICK_MILLISECONDS, self.onTick)

    def onLog(self, text: str) -> None:
        """A line for the log pane."""
        if self._closing:
            return
        elapsed = time.monotonic() - self._begin
        for line in text.splitlines():
            self._ui.logText.appendPlainText(f"{elapsed:7.1f} s  {line}")

    def onClearLog(self) -> None:
        """Empty the log pane."""
        self._ui.logText.plainText = ""

    def onCompleted(self, job: RegistrationJob) -> None:
        """The run has ended, well or not."""
        if self._job is None:
            return
        views, self._job, self._views, self._left = self._views, None, None, None
        if self._closing or views is None:
            return
        self._ui.progressBar.visible = False
        with drawn_in_turn(qt.QTimer.singleShot):
            self._show_end(job, views)
        if job.error is not None and not isinstance(job.error, (Cancelled, InputError)):
            slicer.util.errorDisplay(_("The registration failed."), detailedText=error_words(job.error))
        self.update()
        self._changed()

    def onRepairButton(self) -> None:
        """Install PyTorch again."""
        self._say(_("Installing PyTorch. This takes some minutes ..."))
        slicer.app.processEvents()
        try:
            with waiting():
                self._repair()
        except RegistrationError as error:
            self._fail(error)
            return
        self._ui.repairButton.visible = False
        self._say(_("PyTorch is installed. Press Apply."))

    def offerRepair(self, error: RegistrationError) -> None:
        """Say what is wrong with PyTorch, with the button that mends it; not during a run."""
        if self._job is None and not self._closing:
            self._fail(error)

    def _readiness(self) -> tuple[str, str]:
        """What is missing in a few words, and in full; empty where nothing is."""
        try:
            missing = missing_input(self._parameters)
        except InputError as error:
            return error.remedy.rstrip("."), str(error)
        return {
            Missing.NOTHING: "",
            Missing.FIXED: _("Choose a fixed volume"),
            Missing.MOVING: _("Choose a moving volume"),
            Missing.DIFFERENT: _("Choose two different volumes"),
            Missing.SEGMENTATION: _("Choose both segmentations, or none"),
            Missing.SEGMENTATIONS: _("Choose both segmentations to compare"),
            Missing.LANDMARKS: _("Choose both lists of landmarks, or none"),
        }[missing], ""

    def _show_pair(self) -> None:
        parameters = self._parameters
        if parameters is not None and parameters.livePreview:
            slicer.util.setSliceViewerLayers(
                background=parameters.fixedVolume, foreground=parameters.movingVolume, foregroundOpacity=0.5
            )

    def _show_end(self, job: RegistrationJob, views: SavedViews) -> None:
        if job.error is None:
            took = duration_words(time.monotonic() - self._begin)
            lines = [_("Registered in {duration}.").format(duration=took), self._done(job)]
            self._say("\n".join([line for line in lines if line] + job.result.report.get("warnings", [])))
            self.onLog(lines[0])
        else:
            restore_views(slicer.mrmlScene, views)
            self._fail(job.error)

    def _tell(self, progress: Progress) -> None:
        if self._job is None or self._job.state is not JobState.CANCELLING:
            left = self._left.seconds(time.monotonic()) if self._left is not None else None
            self._say(progress_words(progress, left))

    def _say(self, text: str, style: str = "") -> None:
        self._ui.statusLabel.text = text
        self._ui.statusLabel.styleSheet = style
        self._ui.statusLabel.visible = bool(text)

    def _fail(self, error: RegistrationError) -> None:
        cancelled = isinstance(error, Cancelled)
        words = error_words(error)
        self._say(words, "" if cancelled else _ERROR_STYLE)
        self.onLog(words)
        self._ui.repairButton.visible = error.kind == "dependency"
