"""Pairs with known truth in a folder, as a description in JSON says: `pairs.json` of that folder, or else this one's.

The description holds "pairs" and "synthetic", lists of objects; paths start at the data folder.
  pairs       name, preset, fixed, moving; landmarks and labels, if there are, each [of fixed, of moving]; scored, a
              text file of the labels that count; peers_rigid, peers_spacing_mm, background: see `cases.Case`
  synthetic   name, preset, image; labels of its organs; knots_mm, amplitude_mm, seed: `synthetic.random_deformation`
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..file_jobs import TruthFiles
from ..presets import preset_names, suggestion
from .cases import Case, folder_name, select

LAYOUT = Path(__file__).with_name("pairs.json")
REQUIRED = {"pairs": ("name", "preset", "fixed", "moving"), "synthetic": ("name", "preset", "image", "labels")}
OPTIONAL = {
    "pairs": ("landmarks", "labels", "scored", "peers_rigid", "peers_spacing_mm", "background"),
    "synthetic": ("knots_mm", "amplitude_mm", "seed"),
}


def folder_cases(data: Path, work: Path, names: Sequence[str] = ()) -> tuple[list[Case], list[str]]:
    """The cases of `data` (only those called `names`, if any), and remarks about pairs whose files are not there.

    Synthetic pairs are made in `work`. Raises `InputError` for a description that is wrong, unknown names, and a folder
    that has none of the pairs.
    """
    described = read_description(data)
    cases = [_pair(entry, data) for entry in described["pairs"]]
    cases += [_synthetic(entry, data) for entry in described["synthetic"]]
    chosen, remarks = [], []
    for case in select(cases, names):
        missing = [path for path in _files(case) if not path.is_file()]
        if missing:
            remarks.append(f"{case.name} is left out: {missing[0]} does not exist.")
        else:
            chosen.append(case)
    if not chosen:
        raise InputError(
            f"{data} has none of the pairs of the benchmark.", "Give the folder with --data. " + remarks[0]
        )
    entries = {entry["name"]: entry for entry in described["synthetic"]}
    return [_made(case, entries[case.name], work) if case.name in entries else case for case in chosen], remarks


def read_description(data: Path) -> dict[str, list[dict[str, Any]]]:
    """The checked description of the pairs in `data`; raises `InputError` naming what is wrong."""
    own = data / LAYOUT.name
    path = own if own.is_file() else LAYOUT
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}.", "Mend or remove it.") from error
    if not isinstance(described, dict) or not set(described) <= set(REQUIRED):
        raise InputError(f"{path} holds something else than pairs and synthetic.", "Give an object with these lists.")
    lists = {kind: described.get(kind, []) for kind in REQUIRED}
    for kind, entries in lists.items():
        if not isinstance(entries, list):
            raise InputError(f"{kind} in {path} is no list.", "Give a list of objects.")
        for number, entry in enumerate(entries, start=1):
            _check_entry(entry, kind, f"{path}, {kind}, entry {number}")
    titles = [entry["name"] for entries in lists.values() for entry in entries]
    folders = [folder_name(title) for title in titles]
    for title, folder in zip(titles, folders, strict=True):
        if folders.count(folder) > 1:
            raise InputError(f"Two pairs in {path} are called {title!r}.", "Give every pair a name of its own.")
    return lists


def _check_entry(entry: Any, kind: str, where: str) -> None:
    if not isinstance(entry, dict):
        raise InputError(f"{where} is no object.", "Give its name, preset and files.")
    known = (*REQUIRED[kind], *OPTIONAL[kind])
    for key, value in entry.items():
        if key not in known:
            raise InputError(f"{where} has an unknown key {key!r}.", suggestion(key, known))
        if not _fits(key, value, kind):
            raise InputError(f"{where}: {key} cannot be {value!r}.", "See the description that comes with voxelopt.")
    for key in REQUIRED[kind]:
        if key not in entry:
            raise InputError(f"{where} has no {key!r}.", f"It needs: {', '.join(REQUIRED[kind])}.")
    if entry["preset"] not in preset_names():
        raise InputError(
            f"{where}: there is no preset {entry['preset']!r}.", suggestion(entry["preset"], preset_names())
        )


def _fits(key: str, value: Any, kind: str) -> bool:
    if key == "landmarks" or (key == "labels" and kind == "pairs"):
        return isinstance(value, list) and len(value) == 2 and all(isinstance(item, str) for item in value)
    if key == "peers_rigid":
        return isinstance(value, bool)
    if key in ("peers_spacing_mm", "knots_mm", "amplitude_mm"):
        return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1000
    if key == "background":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if key == "seed":
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, str) and bool(value)


def _pair(entry: Mapping[str, Any], data: Path) -> Case:
    def two(key: str) -> tuple[Path, Path] | None:
        return (data / entry[key][0], data / entry[key][1]) if key in entry else None

    scored = data / entry["scored"] if "scored" in entry else None
    return Case(
        name=entry["name"],
        fixed=data / entry["fixed"],
        moving=data / entry["moving"],
        truth=TruthFiles(two("landmarks"), two("labels"), _scored(scored) if scored and scored.is_file() else None),
        options=("--preset", entry["preset"]),
        peers_rigid=entry.get("peers_rigid", False),
        peers_spacing_mm=entry.get("peers_spacing_mm"),
        background=entry.get("background"),
    )


def _scored(path: Path) -> tuple[int, ...]:
    words = path.read_text(encoding="utf-8", errors="replace").replace(",", " ").split()
    if not words or not all(word.isdecimal() for word in words):
        raise InputError(f"{path} holds something else than label values.", "Write whole numbers.")
    return tuple(int(word) for word in words)


def _synthetic(entry: Mapping[str, Any], data: Path) -> Case:
    """The case before its volumes are made: the files that it is made from."""
    image, labels = data / entry["image"], data / entry["labels"]
    truth = TruthFiles(labels=(labels, labels))
    return Case(name=entry["name"], fixed=image, moving=image, truth=truth, options=("--preset", entry["preset"]))


def _made(case: Case, entry: Mapping[str, Any], work: Path) -> Case:
    from .synthetic import write_synthetic_pair

    folder = work / folder_name(case.name)
    choices = {key: entry[key] for key in OPTIONAL["synthetic"] if key in entry}
    assert case.truth.labels is not None
    return write_synthetic_pair(case, case.fixed, case.truth.labels[0], folder, **choices)


def _files(case: Case) -> list[Path]:
    return [case.fixed, case.moving, *(case.truth.landmarks or ()), *(case.truth.labels or ())]
