"""Slice views that draw one after another, so that the application answers in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import slicer

Scheduler = Callable[[int, Callable[[], None]], None]

FIRST_MILLISECONDS = 20
"""Longer than a view waits before it draws, 1/60 s by default: a view that is let go later draws at once, not later."""
NEXT_MILLISECONDS = 5


@contextmanager
def drawn_in_turn(scheduler: Scheduler | None) -> Iterator[None]:
    """Let slice views draw what the block changes one after another, each in an event of its own, from 20 ms after it.

    Left alone, all views of the application wait equally long and then draw in one event, during which mouse and
    keyboard go unanswered. scheduler: like ``qt.QTimer.singleShot``; without one, or without views, nothing is
    different.
    """
    views = _slice_views() if scheduler is not None else []
    for view in views:
        view.pauseRender()
    try:
        yield
    finally:
        if scheduler is not None and views:
            _let_go(views, scheduler, FIRST_MILLISECONDS)


def _let_go(views: list[Any], scheduler: Scheduler, wait: int) -> None:
    def next_view() -> None:
        view, *others = views
        if view:  # a view that the application has deleted meanwhile is False
            view.resumeRender()
        if others:
            _let_go(others, scheduler, NEXT_MILLISECONDS)

    scheduler(wait, next_view)


def _slice_views() -> list[Any]:
    application = getattr(slicer, "app", None)
    manager = application.layoutManager() if application is not None else None
    if manager is None:
        return []
    return [manager.sliceWidget(name).sliceView() for name in manager.sliceViewNames()]
