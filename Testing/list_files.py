"""Writes the lists of files in VoxelOptRegistration/CMakeLists.txt anew: ``python Testing/list_files.py``."""

from __future__ import annotations

import re
from pathlib import Path

MODULE = Path(__file__).resolve().parents[1] / "VoxelOptRegistration"


def packaged_files() -> list[str]:
    """Everything in the module's folder that Slicer has to package, sorted."""
    found = []
    for file in MODULE.rglob("*"):
        parts = file.relative_to(MODULE).parts
        foreign = any(p.startswith(".") or p == "__pycache__" or p.endswith(".egg-info") for p in parts)
        if file.is_file() and file.name != "CMakeLists.txt" and not foreign:
            found.append("/".join(parts))
    return sorted(found)


def main() -> None:
    lists = MODULE / "CMakeLists.txt"
    text = lists.read_text(encoding="utf-8")
    scripts = [name for name in packaged_files() if name.endswith(".py")]
    resources = [name for name in packaged_files() if not name.endswith(".py")]
    for title, names in (("MODULE_PYTHON_SCRIPTS", scripts), ("MODULE_PYTHON_RESOURCES", resources)):
        lines = "".join(f"  {name.replace('VoxelOptRegistration', '${MODULE_NAME}')}\n" for name in names)
        text = re.sub(rf"set\({title}\n.*?\)", f"set({title}\n{lines}  )", text, flags=re.DOTALL)
    lists.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
