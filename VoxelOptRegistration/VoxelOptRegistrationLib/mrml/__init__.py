"""MRML nodes to a registration and back. Imports slicer and vtk, never Qt, torch or SimpleITK.

MRML works in RAS mm; everything below this package works in LPS mm. The flip is done here and nowhere else.
Functions are PEP 8; methods that scripts call on the logic are camelCase, as Slicer's are.
"""
