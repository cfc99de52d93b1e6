"""Stand-ins for CTK's collapsible containers."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, QChildEvent, QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QGroupBox,
    QSizePolicy,
    QStyle,
    QStyleOption,
    QStyleOptionButton,
    QWidget,
)

from .properties import stored


def hide_contents(container: QWidget, hidden: list[QWidget], collapse: bool) -> None:
    """Hide every child that shows, or show again those that were hidden so."""
    if collapse:
        children = [child for child in container.children() if isinstance(child, QWidget) and not child.isHidden()]
        hidden.extend(child for child in children if not child.isWindow())
        for child in hidden:
            child.hide()
        return
    while hidden:
        hidden.pop().show()


class ctkCollapsibleButton(QAbstractButton):
    """A header that opens and closes the widgets below it."""

    contentsCollapsed = Signal(bool)
    pythonqt_signals = {"contentsCollapsed(bool)": "contentsCollapsed"}
    pythonqt_methods = ("setCollapsed",)
    flat = stored(bool, "flat", False)
    contentsLineWidth = stored(int, "contentsLineWidth", 1)
    buttonTextAlignment = stored(int, "buttonTextAlignment", 0)

    def __init__(self, *arguments: object) -> None:
        text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        super().__init__(arguments[-1] if arguments and isinstance(arguments[-1], QWidget) else None)
        self._collapsed = False
        self._hidden: list[QWidget] = []
        self.setText(text)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, self._header(), 0, 0)
        self.clicked.connect(lambda: self.setCollapsed(not self._collapsed))

    def isCollapsed(self) -> bool:
        return self._collapsed

    def setCollapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        hide_contents(self, self._hidden, collapsed)
        self.setMaximumHeight(self._header() if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    collapsed = Property(bool, isCollapsed, setCollapsed)

    def childEvent(self, event: QChildEvent) -> None:
        child = event.child()
        if event.type() == QEvent.Type.ChildPolished and isinstance(child, QWidget) and self._collapsed:
            if not child.isHidden():
                self._hidden.append(child)
                child.hide()
        super().childEvent(event)

    def sizeHint(self) -> QSize:
        header = QSize(self.fontMetrics().horizontalAdvance(self.text()) + 40, self._header())
        layout = self.layout()
        return header if self._collapsed or layout is None else layout.totalSizeHint().expandedTo(header)

    def minimumSizeHint(self) -> QSize:
        layout = self.layout()
        header = QSize(40, self._header())
        return header if self._collapsed or layout is None else layout.totalMinimumSize().expandedTo(header)

    def hitButton(self, position: object) -> bool:
        return position.y() < self._header()  # type: ignore[attr-defined]

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        header = self.rect().adjusted(0, 0, -1, 0)
        header.setHeight(self._header() - 2)
        button = QStyleOptionButton()
        button.initFrom(self)
        button.rect = header
        button.state |= QStyle.StateFlag.State_Raised
        self.style().drawPrimitive(QStyle.PrimitiveElement.PE_PanelButtonBevel, button, painter, self)
        arrow = QStyleOption()
        arrow.initFrom(self)
        arrow.rect = header.adjusted(8, 7, 0, -7)
        arrow.rect.setWidth(arrow.rect.height())
        shape = QStyle.PrimitiveElement
        direction = shape.PE_IndicatorArrowRight if self._collapsed else shape.PE_IndicatorArrowDown
        self.style().drawPrimitive(direction, arrow, painter, self)
        painter.drawText(header.adjusted(28, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, self.text())

    def _header(self) -> int:
        return self.fontMetrics().height() + 12


class ctkCollapsibleGroupBox(QGroupBox):
    """A group box whose title opens and closes it."""

    pythonqt_methods = ("setCollapsed",)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._hidden: list[QWidget] = []
        self.setCheckable(True)
        self.toggled.connect(lambda opened: hide_contents(self, self._hidden, not opened))

    def isCollapsed(self) -> bool:
        return not self.isChecked()

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property(bool, isCollapsed, setCollapsed)

    def childEvent(self, event: QChildEvent) -> None:
        child: QObject = event.child()
        if event.type() == QEvent.Type.ChildPolished and isinstance(child, QWidget) and self.isCollapsed():
            if not child.isHidden():
                self._hidden.append(child)
                child.hide()
        super().childEvent(event)
