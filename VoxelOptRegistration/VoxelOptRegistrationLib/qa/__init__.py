"""Judging a finished registration and using it: views, tables, plots, exports and transfer to other nodes.

Imports slicer, vtk and numpy, never Qt, torch or SimpleITK. What needs the application (legends, layout, plots on
screen) does nothing where there is none; the rest works on any MRML scene.
"""
