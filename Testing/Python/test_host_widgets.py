"""The stand-in's node selectors, containers, .ui files and slice views against the real scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from host import Host
from slicer_scene import add_segmentation, add_volume, add_warp_transform, affine

UI = """<ui version="4.0"><class>Panel</class><widget class="qMRMLWidget" name="Panel">
<layout class="QVBoxLayout" name="all">
<item><widget class="ctkCollapsibleButton" name="section">
 <property name="text"><string>Section</string></property>
 <property name="collapsed"><bool>true</bool></property>
 <layout class="QFormLayout" name="form">
  <item row="0" column="1"><widget class="qMRMLNodeComboBox" name="selector">
   <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
   <property name="noneEnabled"><bool>true</bool></property>
   <property name="SlicerParameterName" stdset="0"><string>fixedVolume</string></property>
  </widget></item>
 </layout></widget></item>
<item><widget class="ctkPathLineEdit" name="path">
 <property name="filters"><set>ctkPathLineEdit::Files|ctkPathLineEdit::Writable</set></property></widget></item>
</layout></widget>
<connections><connection><sender>Panel</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
<receiver>selector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>"""


def load(folder: Path, text: str) -> Any:
    path = folder / "Panel.ui"
    path.write_text(text)
    return slicer.util.loadUI(str(path))


def volumes(*names: str) -> list[slicer.vtkMRMLScalarVolumeNode]:
    return [add_volume(np.zeros((3, 4, 5), np.int16), affine(), name) for name in names]


def selector(**properties: Any) -> Any:
    made = slicer.qMRMLNodeComboBox()
    made.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    for name, value in properties.items():
        setattr(made, name, value)
    made.setMRMLScene(slicer.mrmlScene)
    return made


def test_a_ui_file_is_loaded_with_its_properties_and_connections(host: Host, tmp_path: Path) -> None:
    panel = load(tmp_path, UI)
    ui = slicer.util.childWidgetVariables(panel)
    assert type(ui.selector) is slicer.qMRMLNodeComboBox and ui.selector.nodeTypes == ("vtkMRMLScalarVolumeNode",)
    assert ui.selector.property("SlicerParameterName") == "fixedVolume"
    assert ui.path.filters == 0x22 and ui.section.collapsed
    assert ui.selector.mrmlScene() is None and not ui.selector.enabled
    panel.setMRMLScene(slicer.mrmlScene)
    assert ui.selector.mrmlScene() is slicer.mrmlScene and ui.selector.enabled


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name="collapsed"', 'name="colapsed"', "has no property colapsed"),
        ('"ctkPathLineEdit"', '"ctkPathEdit"', "no widget class ctkPathEdit"),
        ("mrmlSceneChanged(vtkMRMLScene*)", "sceneChanged(vtkMRMLScene*)", "has no signal"),
        ("<slot>setMRMLScene(", "<slot>setScene(", "has no slot"),
        ("<receiver>selector", "<receiver>selektor", "selektor"),
        ('name="path"', 'name="selector"', "two widgets are named selector"),
    ],
)
def test_mistakes_in_a_ui_file_are_errors(host: Host, tmp_path: Path, old: str, new: str, message: str) -> None:
    assert UI.count(old) >= 1
    with pytest.raises((RuntimeError, AttributeError), match=message):
        load(tmp_path, UI.replace(old, new))


def test_a_collapsed_section_hides_what_it_holds(host: Host, tmp_path: Path) -> None:
    panel = load(tmp_path, UI)
    panel.setMRMLScene(slicer.mrmlScene)
    panel.show()
    host.turn()
    ui = slicer.util.childWidgetVariables(panel)
    with pytest.raises(AssertionError, match="cannot be seen"):
        host.select(ui.selector, None)
    collapsed = panel.height
    host.click(ui.section)
    assert not ui.section.collapsed and ui.selector.visible
    host.select(ui.selector, None)
    host.click(ui.section)
    assert ui.section.collapsed and not ui.selector.visible and collapsed > 0


def test_a_selector_follows_the_scene(host: Host) -> None:
    box, seen = selector(noneEnabled=True), []
    box.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
    first, second = volumes("CT", "MR")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    assert box.nodeCount() == 2 and box.currentNode() is None
    box.setCurrentNode(second)
    assert box.currentNode() is second and box.currentNodeID == second.GetID()
    slicer.mrmlScene.RemoveNode(first)
    assert box.currentNode() is second and seen == [second]
    slicer.mrmlScene.RemoveNode(second)
    assert box.currentNode() is None and seen == [second, None]
    volumes("X")
    slicer.mrmlScene.Clear()
    assert box.nodeCount() == 0


def test_without_none_the_first_node_is_chosen(host: Host) -> None:
    box = selector(noneEnabled=False)
    assert box.currentNode() is None
    first, second = volumes("CT", "MR")
    assert box.currentNode() is first
    slicer.mrmlScene.RemoveNode(first)
    assert box.currentNode() is second


def test_node_classes_hidden_nodes_and_attributes_are_sorted_out(host: Host) -> None:
    plain, marked, hidden = volumes("a", "b", "c")
    label = add_volume(np.zeros((3, 4, 5), np.uint8), affine(), "d", "vtkMRMLLabelMapVolumeNode")
    hidden.SetHideFromEditors(True)
    marked.SetAttribute("kind", "map")
    box = selector(noneEnabled=True)
    shown = lambda: {box.nodeFromIndex(index).GetName() for index in range(box.nodeCount())}  # noqa: E731
    assert shown() == {"a", "b", label.GetName()}
    box.hideChildNodeTypes = ["vtkMRMLLabelMapVolumeNode"]
    assert shown() == {"a", "b"}
    box.addAttribute("vtkMRMLScalarVolumeNode", "kind", "map")
    assert shown() == {"b"}
    box.setCurrentNode(plain)
    assert box.currentNode() is None
    with pytest.raises(TypeError):
        box.setCurrentNode("CT")


def test_a_segment_selector_follows_its_segmentation(host: Host) -> None:
    box, chosen = slicer.qMRMLSegmentSelectorWidget(), []
    box.noneEnabled = True
    box.setMRMLScene(slicer.mrmlScene)
    box.connect("currentSegmentChanged(QString)", chosen.append)
    cube = np.ones((3, 4, 5), np.uint8)
    node = add_segmentation({"Liver": cube, "Spleen": cube}, affine())
    box.setCurrentNode(node)
    liver, spleen = node.GetSegmentation().GetSegmentIDs()
    assert box.currentNode() is node and box.currentSegmentID() == ""
    box.setCurrentSegmentID(spleen)
    assert box.currentSegmentID() == spleen and chosen[-1] == spleen
    node.GetSegmentation().RemoveSegment(spleen)
    assert box.currentSegmentID() == ""
    with pytest.raises(ValueError):
        box.setCurrentSegmentID("gone")
    box.multiSelection = True
    box.setSelectedSegmentIDs([liver])
    assert box.selectedSegmentIDs() == (liver,)


def test_slice_views_show_the_volume_and_the_deformation_grid(host: Host, tmp_path: Path) -> None:
    z, y, x = np.mgrid[:40, :40, :40]
    volume = add_volume((1000 * (x > 19)).astype(np.int16), affine((2, 2, 2), (-40, -40, -40)), "half")
    volume.CreateDefaultDisplayNodes()
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    picture = host.pixels("Red")
    height, width = picture.shape[:2]
    left, right = picture[height // 2, width // 4], picture[height // 2, 3 * width // 4]
    assert left.min() == 255 and right.max() == 0, "the patient's right (+x) is at the left of the screen"
    warp = add_warp_transform()
    warp.CreateDefaultDisplayNodes()
    display = warp.GetDisplayNode()
    display.SetVisibility(True)
    display.SetVisibility2D(True)
    display.SetVisualizationMode(display.VIS_MODE_GRID)
    changed = (host.pixels("Red") != picture).any(axis=2).mean()
    assert 0.02 < changed < 0.5
    assert host.slices_png(tmp_path / "red.png").read_bytes().startswith(b"\x89PNG")
    assert slicer.app.layoutManager().sliceViewNames() == ("Red", "Yellow", "Green")


def drawings(host: Host) -> list[int]:
    return [len(view.drawings) for view in host.application.views.values()]


def test_slice_views_draw_when_slicers_do(host: Host) -> None:
    host.open()
    volume = add_volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), affine(), "v")
    volume.CreateDefaultDisplayNodes()
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    host.settle()
    before = drawings(host)
    for level in (10, 20, 30):
        volume.GetDisplayNode().SetWindowLevel(40, level)
        assert drawings(host) == before, "a change draws nothing by itself"
    host.settle()
    assert drawings(host) == [count + 1 for count in before], "several changes are drawn together"
    slicer.util.forceRenderAllViews()
    assert drawings(host) == [count + 2 for count in before]
    with slicer.util.RenderBlocker():
        volume.GetDisplayNode().SetWindowLevel(40, 5)
        host.settle()
        assert drawings(host) == [count + 2 for count in before]
    assert drawings(host) == [count + 3 for count in before], "what is overdue is drawn at once"
