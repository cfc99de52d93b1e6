"""Registration in a background process: `client` is used by the program that asks, `server` runs in the child.

The client's side imports numpy and the standard library only, so that it can live in Slicer's own process.
"""
