"""Views that draw one after another: in turns of the event loop of their own, and never left waiting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import shiboken6
import slicer
from host import Host
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from slicer_scene import add_volume, affine, new_scene
from VoxelOptRegistrationLib.mrml.drawing import drawn_in_turn


def views() -> list[object]:
    manager = slicer.app.layoutManager()
    return [manager.sliceWidget(name).sliceView() for name in manager.sliceViewNames()]


def paused() -> list[bool]:
    return [view.isRenderPaused() for view in views()]


class Clock:
    """A scheduler whose timers a test fires one by one."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, Callable[[], None]]] = []

    def __call__(self, milliseconds: int, function: Callable[[], None]) -> None:
        self.waiting.append((milliseconds, function))

    def fire(self) -> None:
        self.waiting.pop(0)[1]()


def test_each_view_draws_a_change_in_a_turn_of_its_own(host: Host) -> None:
    host.open()
    volume = add_volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), affine(), "v")
    volume.CreateDefaultDisplayNodes()
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    host.settle()
    drawn = [view.drawings for view in host.application.views.values()]
    before = [len(drawings) for drawings in drawn]
    with drawn_in_turn(QTimer.singleShot):
        volume.GetDisplayNode().SetWindowLevel(40, 10)
    turns: list[list[int]] = []

    def all_drawn() -> bool:
        counts = [len(drawings) - count for drawings, count in zip(drawn, before, strict=True)]
        if not turns or counts != turns[-1]:
            turns.append(counts)
        return counts == [1, 1, 1]

    host.pump(all_drawn)
    assert turns == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]
    host.settle()
    assert all_drawn() and not any(paused())


def test_views_are_let_go_one_by_one_also_after_a_failure(host: Host) -> None:
    clock = Clock()
    with pytest.raises(ZeroDivisionError), drawn_in_turn(clock):
        assert all(paused()) and not clock.waiting
        raise ZeroDivisionError
    for expected in ([True, True, True], [False, True, True], [False, False, True], [False, False, False]):
        assert paused() == expected and len(clock.waiting) == any(expected)
        if clock.waiting:
            clock.fire()


def test_blocks_within_and_after_one_another_leave_no_view_waiting(host: Host) -> None:
    clock = Clock()
    with drawn_in_turn(clock), drawn_in_turn(clock):
        pass
    with drawn_in_turn(clock):
        pass
    while clock.waiting:
        assert any(paused())
        clock.fire()
    assert not any(paused())


def test_a_view_that_is_deleted_meanwhile_is_passed_over(host: Host) -> None:
    clock, (red, yellow, green) = Clock(), views()
    with drawn_in_turn(clock):
        pass
    shiboken6.delete(yellow._object)
    QApplication.processEvents()
    for _ in range(3):
        clock.fire()
    assert not clock.waiting and not red.isRenderPaused() and not green.isRenderPaused()


def test_without_application_or_scheduler_nothing_is_different(host: Host) -> None:
    with drawn_in_turn(None):
        assert not any(paused())


def test_without_application_nothing_is_scheduled() -> None:
    new_scene()
    clock = Clock()
    with drawn_in_turn(clock):
        pass
    assert not clock.waiting
