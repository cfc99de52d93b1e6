"""The repository itself: what Slicer packages, what each layer may import, and what newcomers and CI start from."""

from __future__ import annotations

import ast
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MODULE, REPOSITORY, command_environment

LIBRARY = MODULE / "VoxelOptRegistrationLib"
SLICER = {"slicer", "vtk", "qt", "ctk", "vtkmodules"}
PURE_TORCH = SLICER | {"SimpleITK"}
FORBIDDEN = {
    "fields": PURE_TORCH,
    "solvers": PURE_TORCH,
    "features": PURE_TORCH,
    "kernels": PURE_TORCH,
    "refinement": PURE_TORCH,
    "confidence": PURE_TORCH,
    "images": SLICER,
    "inspection": SLICER,
    "worker": SLICER,
    "commands": SLICER,
    "benchmark": SLICER,
    "mrml": {"qt", "ctk", "torch", "SimpleITK"},
    "qa": {"qt", "ctk", "torch", "SimpleITK"},
    "panel": {"torch", "SimpleITK"},
}
IN_SLICER = {"mrml", "qa", "panel"}
"""Layers of Slicer's own process; PyTorchUtils and SampleData are modules of it."""
PEERS = {"picsl_greedy", "convexAdam", "ants", "itk"}
"""Other registration programs, imported in processes of their own where they are installed."""


def cmake_list(name: str) -> list[str]:
    text = (MODULE / "CMakeLists.txt").read_text()
    match = re.search(rf"set\({name}\n(.*?)\)", text, re.DOTALL)
    assert match, f"{name} is not set"
    return match[1].replace("${MODULE_NAME}", "VoxelOptRegistration").split()


def module_files() -> set[str]:
    """Every file that Slicer has to package."""
    files = (file.relative_to(MODULE) for file in MODULE.rglob("*") if file.is_file())
    packaged = (file for file in files if not any(hidden_from_slicer(part) for part in file.parts))
    return {file.as_posix() for file in packaged if file.name != "CMakeLists.txt"}


def hidden_from_slicer(part: str) -> bool:
    """Whether a file or folder of this name belongs to tools that run in the checkout."""
    return part.startswith(".") or part == "__pycache__" or part.endswith(".egg-info")


def imported(file: Path, *, file_scope_only: bool = False) -> set[str]:
    """Top-level names of the packages that `file` imports, those under `if TYPE_CHECKING` left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    nodes = tree.body if file_scope_only else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
    return names


def test_slicer_packages_every_file() -> None:
    listed = cmake_list("MODULE_PYTHON_SCRIPTS") + cmake_list("MODULE_PYTHON_RESOURCES")
    assert len(listed) == len(set(listed))
    assert set(listed) == module_files()
    assert all(name.endswith(".py") for name in cmake_list("MODULE_PYTHON_SCRIPTS"))


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_a_layer_imports_only_what_stands_below_it(layer: str) -> None:
    files = sorted((LIBRARY / layer).rglob("*.py"))
    assert files
    for file in files:
        assert not imported(file) & FORBIDDEN[layer], file


def test_only_known_packages_are_imported() -> None:
    core = {"torch", "numpy", "SimpleITK", "VoxelOptRegistrationLib", "__future__"}
    for file in sorted(LIBRARY.rglob("*.py")):
        inside = SLICER | {"PyTorchUtils", "SampleData"} if IN_SLICER & set(file.parts) else set()
        inside = PEERS if "peers" in file.parts else inside
        inside = {"numba", "triton"} if "kernels" in file.parts else inside
        unknown = imported(file) - core - inside - set(sys.stdlib_module_names)
        assert not unknown, f"{file}: {unknown}"


def test_slicer_module_loads_only_slicer_and_the_standard_library_at_file_scope() -> None:
    allowed = SLICER | set(sys.stdlib_module_names) | {"numpy", "VoxelOptRegistrationLib"}
    assert imported(MODULE / "VoxelOptRegistration.py", file_scope_only=True) <= allowed


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        *((name, ("torch", "SimpleITK")) for name in ("cli", "presets", "worker.client")),
        ("worker.report_page", ("torch", "numba")),  # Whoever exports a report waits for this process.
    ],
)
def test_light_modules_load_nothing_heavy(module: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, VoxelOptRegistrationLib.{module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=command_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("icon", [REPOSITORY, MODULE / "Resources" / "Icons"])
def test_icon_is_a_png_of_128_pixels(icon: Path) -> None:
    data = (icon / "VoxelOptRegistration.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (128, 128)


def test_extension_is_described_on_one_line_each() -> None:
    text = (REPOSITORY / "CMakeLists.txt").read_text()
    for field in ("HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"):
        assert re.search(rf'^set\(EXTENSION_{field} "[^"\n]+"\)$', text, re.MULTILINE), field
    assert "project(VoxelOptRegistration)" in text


def test_readme_gives_exactly_two_commands_and_ci_calls_the_second() -> None:
    commands = re.findall(r"^\s*python3 (start\.py \w+)\s*$", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    assert commands == ["start.py demo", "start.py test"]
    assert commands[1] in (REPOSITORY / ".ci" / "run").read_text()


@pytest.mark.parametrize("page", ["README.md", "Docs/Tutorial.md", "Testing/README.md"])
def test_links_and_pictures_are_there(page: str) -> None:
    path = REPOSITORY / page
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert links or page == "Testing/README.md"
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_licence_is_apache_2() -> None:
    text = (REPOSITORY / "LICENSE.txt").read_text()
    assert "Apache License" in text and "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text


def test_setup_refuses_other_pythons_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.syspath_prepend(REPOSITORY)
    import start

    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    assert start.main(["demo"]) == 2
    assert "Python 3.10 to 3.13" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("on_offer", "gpu", "chosen"),
    [
        ("2.15.0, 2.13.0+cpu, 2.13.0, 2.12.1+cpu", False, "torch==2.13.0+cpu"),
        ("2.9.1+cpu, 2.10.0+cpu", False, "torch==2.10.0+cpu"),
        ("2.15.0, 2.3.0+cpu", False, "torch>=2.4"),
        ("", False, "torch>=2.4"),
        ("2.13.0+cpu", True, "torch>=2.4"),
    ],
)
def test_setup_takes_the_newest_cpu_build_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, on_offer: str, gpu: bool, chosen: str
) -> None:
    monkeypatch.syspath_prepend(REPOSITORY)
    import start

    monkeypatch.setattr(start, "has_nvidia_gpu", lambda: gpu)
    monkeypatch.setattr(start, "pip", lambda *_: [sys.executable, "-c", f"print('Available versions: {on_offer}')"])
    assert start.choose_torch() == chosen


def test_setup_runs_once_and_again_when_the_recipe_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(REPOSITORY)
    import start

    for name in ("pyproject.toml", "start.py"):
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    monkeypatch.setattr(start, "ROOT", tmp_path)
    monkeypatch.setattr(start, "VENV", tmp_path / "venv")
    monkeypatch.setattr(start, "STAMP", tmp_path / "venv" / "installed.txt")
    monkeypatch.setattr(start, "choose_torch", lambda: "torch")
    done: list[str] = []

    def environment() -> None:
        done.append("environment")
        Path(start.python()).parent.mkdir(parents=True, exist_ok=True)
        Path(start.python()).touch()

    monkeypatch.setattr(start, "create_environment", environment)
    monkeypatch.setattr(start, "install", lambda *what: done.append(what[-1].replace(str(tmp_path), ".")))

    def steps(testing: bool) -> list[str]:
        done.clear()
        start.set_up(testing)
        return list(done)

    assert steps(False) == ["environment", "torch", ".[kernels]"]
    assert steps(False) == []
    assert steps(True) == [".[test]"]
    assert steps(True) == steps(False) == []
    (tmp_path / "pyproject.toml").write_text("changed")
    assert steps(True) == ["environment", "torch", ".[test]"]


@pytest.mark.parametrize(
    ("missing", "use", "tests"),
    [
        (set(), [".[kernels]"], [".[test]"]),
        ({"kernels", "test", "checks,kernels"}, [".[kernels]", "."], [".[test]", ".[checks,kernels]", ".[checks]"]),
        ({"test"}, [".[kernels]"], [".[test]", ".[checks,kernels]"]),
    ],
)
def test_setup_goes_on_without_what_has_no_build_here(
    monkeypatch: pytest.MonkeyPatch, missing: set[str], use: list[str], tests: list[str]
) -> None:
    monkeypatch.syspath_prepend(REPOSITORY)
    import start

    tried: list[str] = []

    def install(*what: str) -> None:
        tried.append(what[-1].replace(str(REPOSITORY), "."))
        if any(f"[{extra}]" in tried[-1] for extra in missing):
            raise subprocess.CalledProcessError(1, ["pip"])

    monkeypatch.setattr(start, "install", install)
    start.install_for_use()
    assert tried == use
    tried.clear()
    start.install_for_tests()
    assert tried == tests
