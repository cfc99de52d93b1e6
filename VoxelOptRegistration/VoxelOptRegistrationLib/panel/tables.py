"""Filling a QTableWidget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt


def fill_table(table: Any, headers: Sequence[str], rows: Sequence[Sequence[str]], hints: Sequence[str] = ()) -> None:
    """Show texts, the first column to the left and the others to the right; hints are tool tips, one for each row.

    Few columns share the table's width; many are scrolled.
    """
    table.setColumnCount(len(headers))
    table.setHorizontalHeaderLabels(list(headers))
    table.setRowCount(len(rows))
    right = qt.Qt.AlignRight | qt.Qt.AlignVCenter
    for row, texts in enumerate(rows):
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            if column:
                item.setTextAlignment(right)
            if hints:
                item.setToolTip(hints[row])
            table.setItem(row, column, item)
    table.verticalHeader().visible = False
    table.resizeColumnsToContents()
    table.resizeRowsToContents()
    few = len(headers) <= 3
    table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch if few else qt.QHeaderView.ResizeToContents)
