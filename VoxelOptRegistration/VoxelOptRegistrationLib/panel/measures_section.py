"""The numbers of a result: tables, plots, and their export."""

from __future__ import annotations

import html
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from ..errors import RegistrationError
from ..mrml.record import Registration
from ..qa.histograms import KINDS, Kind, plot_histogram, show_chart
from ..qa.landmarks import LandmarkError, landmark_errors
from ..qa.measures import measures, shown
from ..qa.report_export import ReportExport
from ..qa.segments import SegmentMeasure, segment_measures
from ..qa.tables import write_csv
from .error_words import error_words
from .tables import fill_table
from .told import told

POLL_MILLISECONDS = 200


class MeasuresSection:
    """Looks after the section `measuresSection` of `ui`."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._registration: Registration | None = None
        self._segments: list[SegmentMeasure] = []
        self._landmarks: list[LandmarkError] = []
        self._export: ReportExport | None = None
        self._plots = dict(zip((ui.jacobianHistogramButton, ui.entropyHistogramButton), KINDS, strict=True))
        for button, kind in self._plots.items():
            button.connect("clicked(bool)", partial(self.onHistogramButton, kind))
        ui.segmentsButton.connect("clicked(bool)", self.onSegmentsButton)
        ui.landmarksButton.connect("clicked(bool)", self.onLandmarksButton)
        ui.csvButton.connect("clicked(bool)", self.onCsvButton)
        ui.htmlButton.connect("clicked(bool)", self.onHtmlButton)
        for box in (ui.fixedSegmentsSelector, ui.movingSegmentsSelector):
            box.connect("currentNodeChanged(vtkMRMLNode*)", self.onSegmentsChoice)
        for box in (ui.fixedLandmarksSelector, ui.movingLandmarksSelector):
            box.connect("currentNodeChanged(vtkMRMLNode*)", self.onLandmarksChoice)
        self.setRegistration(None)

    def setRegistration(self, registration: Registration | None) -> None:
        """Show the numbers of this one; None: none."""
        self._registration = registration
        report = registration.report if registration is not None else {}
        self._showSegments([])
        self._showLandmarks([])
        rows = measures(report)
        headers = (_("Measure"), _("Before"), _("After"))
        texts = [(shown(row.name), row.text(False), row.text(True)) for row in rows]
        fill_table(self._ui.measuresTable, headers, texts, [shown(row.hint) for row in rows])
        warnings = report.get("warnings", [])
        self._ui.warningsNote.text = "\n".join(warnings)
        self._ui.warningsNote.visible = bool(warnings)
        self._say("")
        for button, kind in self._plots.items():
            button.enabled = bool(report.get("histograms", {}).get(kind.key))
        self._ui.measuresSection.enabled = registration is not None
        self._follow()

    def close(self) -> None:
        """The panel goes: stop drawing."""
        if self._export is not None:
            self._export.cancel()
            self._export = None

    def onSegmentsChoice(self, node: Any = None) -> None:
        """Other segments were chosen: what was measured is not theirs."""
        self._showSegments([])
        self._follow()

    def onLandmarksChoice(self, node: Any = None) -> None:
        """Other landmarks were chosen: what was measured is not theirs."""
        self._showLandmarks([])
        self._follow()

    def onHistogramButton(self, kind: Kind, checked: bool = True) -> None:
        """Plot, and show the plot."""
        if self._registration is None:
            return
        with told(_("The histogram could not be plotted.")):
            chart = plot_histogram(self._registration, kind)
            if chart is not None:
                show_chart(chart)
                self._say(_("Plotted: {name}").format(name=html.escape(chart.GetName())))

    def onSegmentsButton(self) -> None:
        """Measure the chosen segments."""
        nodes = (self._ui.fixedSegmentsSelector.currentNode(), self._ui.movingSegmentsSelector.currentNode())
        with told(_("The segments could not be measured.")):
            if self._registration is not None:
                self._showSegments(segment_measures(self._registration, *nodes))

    def onLandmarksButton(self) -> None:
        """Measure the chosen landmarks."""
        nodes = (self._ui.fixedLandmarksSelector.currentNode(), self._ui.movingLandmarksSelector.currentNode())
        with told(_("The landmarks could not be measured.")):
            if self._registration is not None:
                self._showLandmarks(landmark_errors(self._registration, *nodes))

    def onCsvButton(self) -> None:
        """Ask for a file and write all tables into it."""
        path = self._ask(_("Save measurements"), "registration.csv", _("Tables (*.csv)"))
        if path is None or self._registration is None:
            return
        with told(_("The measurements could not be saved.")):
            write_csv(path, measures(self._registration.report), self._segments, self._landmarks)
            self._saved(path)

    def onHtmlButton(self) -> None:
        """Ask for a file and draw the report into it, in the background."""
        path = self._ask(_("Save report"), "registration.html", _("Web pages (*.html)"))
        if path is None or self._registration is None:
            return
        with told(_("The report could not be saved.")):
            self._export = ReportExport(self._registration, path)
            self._say(_("Drawing the report ..."))
            self._follow()
            qt.QTimer.singleShot(POLL_MILLISECONDS, self.onExport)

    def onExport(self) -> None:
        """Look whether the report is there."""
        export = self._export
        if export is None:
            return
        try:
            if not export.poll():
                qt.QTimer.singleShot(POLL_MILLISECONDS, self.onExport)
                return
            self._saved(export.path)
        except RegistrationError as error:
            self._say(html.escape(error_words(error)))
        self._export = None
        self._follow()

    def _showSegments(self, rows: list[SegmentMeasure]) -> None:
        self._segments = rows
        self._ui.segmentsTable.visible = bool(rows)
        if not rows:
            return
        headers = (
            *(_("Segment"), _("Dice before"), _("Dice after"), _("Change (%)"), _("Volume (ml)")),
            *(_("Folds"), _("Smallest Jacobian"), _("Entropy")),
        )
        texts = [
            (
                row.name,
                _text(row.dice_before, ".3f"),
                _text(row.dice_after, ".3f"),
                _text(row.change_percent, "+.1f"),
                f"{row.volume_ml:.1f}",
                _text(row.folds, "d"),
                _text(row.jacobian_min, ".2f"),
                _text(row.entropy, ".2f"),
            )
            for row in rows
        ]
        hint = _("Change: how much larger the same tissue is in the moving volume than in the fixed one.")
        fill_table(self._ui.segmentsTable, headers, texts, [hint] * len(rows))

    def _showLandmarks(self, rows: list[LandmarkError]) -> None:
        self._landmarks = rows
        self._ui.landmarksTable.visible = bool(rows)
        if not rows:
            return
        texts = []
        for name, measure in ((_("Mean"), np.mean), (_("Largest"), np.max)):
            before, after = (float(measure([getattr(row, when) for row in rows])) for when in ("before", "after"))
            texts.append((name, f"{before:.2f}", f"{after:.2f}"))
        texts += [(row.name, f"{row.before:.2f}", f"{row.after:.2f}") for row in rows]
        fill_table(self._ui.landmarksTable, (_("Point"), _("Before (mm)"), _("After (mm)")), texts)

    def _ask(self, title: str, name: str, kinds: str) -> Path | None:
        chosen = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, name, kinds)
        if not chosen:
            return None
        path = Path(str(chosen))
        return path if path.suffix else path.with_suffix(Path(name).suffix)

    def _saved(self, path: Path) -> None:
        link = html.escape(qt.QUrl.fromLocalFile(str(path)).toString())
        self._say(_("Saved: {link}").format(link=f'<a href="{link}">{html.escape(str(path))}</a>'))

    def _say(self, text: str) -> None:
        self._ui.exportNote.text = text
        self._ui.exportNote.visible = bool(text)

    def _follow(self) -> None:
        ui = self._ui
        segments = (ui.fixedSegmentsSelector.currentNode(), ui.movingSegmentsSelector.currentNode())
        landmarks = (ui.fixedLandmarksSelector.currentNode(), ui.movingLandmarksSelector.currentNode())
        ui.segmentsButton.enabled = any(node is not None for node in segments)
        ui.landmarksButton.enabled = all(node is not None for node in landmarks)
        ui.htmlButton.enabled = self._export is None


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
