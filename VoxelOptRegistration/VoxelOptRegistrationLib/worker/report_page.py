"""Draws `report.html` from arrays in a folder, in a process of its own: ``python -m ...worker.report_page FOLDER``.

The folder holds `request.json`, {"report", "images": {name: descriptor}} (see `arrays`), with the images fixed, moving,
warped, displacement (mm, LPS), jacobian, entropy and, if it is known, expected_error (mm). The page is written beside
it. Exit codes are the command line's; a failure is one line on stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import SimpleITK as sitk

from ..errors import RegistrationError
from ..inspection.page import build_page
from ..inspection.pictures import draw_gallery
from ..inspection.report import plain
from .arrays import ImageDescriptor
from .conversion import read_image

REQUEST, PAGE = "request.json", "report.html"


def draw(folder: Path) -> None:
    """Write the page; raises `RegistrationError`."""
    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    images = {
        name: read_image(folder, name, ImageDescriptor.from_json(body)) for name, body in request["images"].items()
    }
    report = request["report"]
    names = ("displacement", "jacobian", "entropy", "expected_error")
    maps = {name: sitk.GetArrayViewFromImage(images[name]) for name in names if name in images}
    background = report.get("settings", {}).get("background")
    gallery = draw_gallery(images["fixed"], images["moving"], images["warped"], **maps, background=background)
    (folder / PAGE).write_text(build_page(plain(report), gallery), encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    try:
        draw(Path(arguments[0]))
    except RegistrationError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except MemoryError:
        print("There is not enough memory for the report's pictures. Close other programs.", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
