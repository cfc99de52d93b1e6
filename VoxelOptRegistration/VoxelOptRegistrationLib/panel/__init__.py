"""The panel's parts: each looks after some widgets of the .ui file. The only package here that imports Qt."""
