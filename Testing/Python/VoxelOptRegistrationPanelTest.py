"""A test for ctest, run inside Slicer: a person registers the generated pair in the module's panel."""

from __future__ import annotations

import time
import unittest

import slicer
from VoxelOptRegistrationLib.mrml.environment import torch_version
from VoxelOptRegistrationLib.mrml.sample import add_sample_pair

SECONDS = 600


class VoxelOptRegistrationPanelTest(unittest.TestCase):
    def setUp(self) -> None:
        if torch_version() is None:
            self.skipTest("PyTorch is not installed in this Slicer, and a test installs nothing")
        slicer.mrmlScene.Clear()
        self.widget = slicer.modules.voxeloptregistration.widgetRepresentation().self()
        self.widget.enter()

    def test_registering_in_the_panel(self) -> None:
        ui = self.widget.ui
        self.assertFalse(ui.applyButton.enabled)
        pair = add_sample_pair(size_zyx=(40, 48, 60))
        ui.fixedSelector.setCurrentNode(pair.fixed)
        ui.movingSelector.setCurrentNode(pair.moving)
        slicer.app.processEvents()
        self.assertTrue(ui.applyButton.enabled)
        ready = ui.applyButton.text
        ui.applyButton.click()
        self.assertNotEqual(ui.applyButton.text, ready)
        deadline = time.monotonic() + SECONDS
        while ui.applyButton.text != ready:
            self.assertLess(time.monotonic(), deadline, ui.statusLabel.text)
            slicer.app.processEvents()
            time.sleep(0.01)
        transform = self.widget.logic.getParameterNode().outputTransform
        self.assertIsNotNone(transform, ui.statusLabel.text)
        found = [transform.GetTransformFromParent().TransformPoint(point) for point in pair.fixed_points]
        before = abs(pair.fixed_points - pair.moving_points).sum(axis=1).mean()
        after = abs(found - pair.moving_points).sum(axis=1).mean()
        self.assertLess(after, before / 2)
        slicer.mrmlScene.Clear()
        self.assertFalse(ui.applyButton.enabled)
