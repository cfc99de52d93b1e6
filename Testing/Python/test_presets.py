"""Presets as data, settings as dictionaries and texts: round trips, and one clear line for everything else."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.options import (
    AdamOptions,
    Alignment,
    Border,
    Comparison,
    ConvexAdamOptions,
    EntropyScale,
    FeatureOptions,
    GridOptions,
    Hyperprior,
    LandmarkOptions,
    Regulariser,
    SAMConvexOptions,
    Settings,
    Smoothing,
    Statistics,
    Ties,
    Unit,
    VoxelOptOptions,
)
from VoxelOptRegistrationLib.presets import (
    PRESET_FOLDER,
    REFINEMENTS,
    SOLVERS,
    apply_overrides,
    load_preset,
    preset_names,
    read_preset,
    settings_from_dict,
    settings_to_dict,
    with_method,
)

CONTRACT = {"generic", "abdomen-ct", "lung-ct", "liver-mr", "brain-mr", "ct-mr", "fast"}


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, allow_infinity=False)


windows = st.tuples(numbers(-3000, 0), numbers(1, 3000))
solver_options = st.builds(
    VoxelOptOptions,
    levels=st.integers(1, 8),
    search_radius=st.integers(1, 3),
    couplings=st.lists(numbers(0, 10), min_size=1, max_size=8).map(tuple),
    sharpness=numbers(0.01, 9999),
    sigma_low=numbers(0.01, 0.5),
    sigma_high=numbers(0.5, 10),
    passes=st.integers(0, 20),
    squarings=st.integers(0, 12),
    smoothing=st.sampled_from(Smoothing),
    ties=st.sampled_from(Ties),
    entropy_scale=st.sampled_from(EntropyScale),
    border=st.sampled_from(Border),
    low_pass=st.booleans(),
    inverse_consistency=st.booleans(),
)
couplings = st.lists(numbers(0, 10), min_size=1, max_size=8).map(tuple)
convexadam_options = st.builds(
    ConvexAdamOptions,
    spacing=st.integers(1, 16),
    search_width=st.integers(1, 10),
    couplings=couplings,
    coupling_unit=st.sampled_from(Unit),
    border=st.sampled_from(Border),
    exact_consistency=st.booleans(),
)
samconvex_options = st.builds(
    SAMConvexOptions,
    search_radii=st.lists(st.integers(1, 6), min_size=1, max_size=8).map(tuple),
    couplings=couplings,
    unit_features=st.booleans(),
)
adam_options = st.builds(
    AdamOptions,
    steps=st.integers(1, 10_000),
    epsilon=numbers(1e-12, 1),
    comparison=st.sampled_from(Comparison),
    weight=numbers(0, 1e6),
    regulariser=st.sampled_from(Regulariser),
    hyperprior=st.sampled_from(Hyperprior),
    final_box=st.sampled_from([0, 3, 25]),
)
settings_values = st.builds(
    Settings,
    method=st.sampled_from(SOLVERS),
    refine=st.sampled_from(REFINEMENTS),
    preset=st.sampled_from(sorted(CONTRACT)),
    align=st.sampled_from(Alignment),
    device=st.sampled_from(["auto", "cpu", "cuda:1"]),
    memory_gib=numbers(0, 100_000),
    background=st.none() | numbers(-5000, 5000),
    features=st.builds(
        FeatureOptions,
        window=st.none() | windows,
        radius=st.integers(0, 8),
        weights=st.none() | st.sampled_from(["unet.pth", "C:\\networks\\a net.json"]),
        statistics=st.sampled_from(Statistics),
        label_weight=numbers(0.01, 100),
        cache=st.sampled_from(["auto", "off", "/fast disk/maps"]),
    ),
    landmarks=st.builds(LandmarkOptions, weight=numbers(0, 1), radius=numbers(1, 200)),
    grid=st.builds(GridOptions, max_voxels=st.integers(512, 10**9), spacing=numbers(0, 100)),
    solver=solver_options,
    convexadam=convexadam_options,
    samconvex=samconvex_options,
    adam=adam_options,
)


@given(settings_values)
def test_settings_survive_json(settings: Settings) -> None:
    assert settings_from_dict(json.loads(json.dumps(settings_to_dict(settings)))) == settings


@given(settings_values)
def test_settings_survive_the_command_line(settings: Settings) -> None:
    """Writing every option of the settings as --set gives the settings back, whatever they replace."""
    texts: dict[str, str] = {}
    for name, value in settings_to_dict(settings).items():
        section = {f"{name}.{option}": v for option, v in value.items()} if isinstance(value, dict) else {name: value}
        for option, v in section.items():
            texts[option] = ",".join(map(repr, v)) if isinstance(v, list) else str(v)
    del texts["preset"]
    start = dataclasses.replace(load_preset("lung-ct"), preset=settings.preset)
    assert apply_overrides(start, texts) == settings


def test_every_preset_of_the_contract_is_there_and_says_what_it_is_for() -> None:
    assert preset_names()[0] == "generic"
    assert set(preset_names()) >= CONTRACT
    for name in preset_names():
        preset = read_preset(name)
        assert preset.settings.preset == name
        assert preset.title and preset.description.endswith(".")


def test_preset_files_hold_only_what_differs_from_the_default() -> None:
    default = settings_to_dict(Settings())
    for name in preset_names():
        for key, value in json.loads((PRESET_FOLDER / f"{name}.json").read_text())["settings"].items():
            same = (
                {option for option, v in value.items() if v == default[key][option]}
                if isinstance(value, dict)
                else set()
            )
            assert not same and value != default[key], f"{name}: {key} {same}"


def test_generic_is_the_default() -> None:
    assert load_preset("generic") == Settings()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"solvr": {}}, "solver"),
        ({"solver": {"levls": 3}}, "solver.levels"),
        ({"solver": {"levels": "3"}}, "'3'"),
        ({"solver": {"levels": True}}, "True"),
        ({"solver": {"levels": 3.5}}, "3.5"),
        ({"solver": {"levels": 99}}, "99"),
        ({"solver": {"low_pass": 1}}, "low_pass"),
        ({"solver": {"ties": "center"}}, "centre"),
        ({"solver": {"ties": []}}, "ties"),
        ({"solver": {"couplings": 0.1}}, "couplings"),
        ({"solver": {"couplings": [0.1, None]}}, "None"),
        ({"solver": {"couplings": []}}, "couplings"),
        ({"solver": 5}, "solver"),
        ({"features": {"window": [1]}}, "window"),
        ({"features": {"window": [2, 1]}}, "window"),
        ({"background": float("nan")}, "nan"),
        ({"background": 10**400}, "background"),
        ({"device": None}, "device"),
        ({"align": "afine"}, "affine"),
        ({"method": "voxelopt2"}, "voxelopt"),
        ({"method": "voxelopt-paper"}, "voxelopt"),
        ({"convexadam": {"spacing": 0}}, "convexadam.spacing"),
        ({"samconvex": {"search_radii": [2, 2.5]}}, "samconvex.search_radii"),
        ({"adam": {"regulariser": "bend"}}, "bending"),
        ({"refine": "more"}, "none"),
        ({7: 1}, "7"),
    ],
)
def test_wrong_settings_are_named(data: dict[Any, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        settings_from_dict(data)
    assert said in str(caught.value) and caught.value.remedy and "\n" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)
names = st.sampled_from(["preset", "method", "align", "device", "background", "features", "grid", "solver"])
options = st.sampled_from(["levels", "couplings", "window", "ties", "low_pass", "max_voxels", "name", "spacing"])


@given(st.dictionaries(names | st.text(max_size=6), json_values | st.dictionaries(options, json_values), max_size=4))
def test_any_json_gives_settings_or_an_input_error(data: dict[str, Any]) -> None:
    try:
        settings = settings_from_dict(data)
    except InputError as error:
        assert error.remedy
    else:
        assert settings_from_dict(settings_to_dict(settings)) == settings


dotted = st.sampled_from(["solver.levels", "solver.couplings", "features.window", "align", "background", "solver.ties"])


@given(st.dictionaries(dotted | st.text(max_size=12), st.text(max_size=12), max_size=3))
def test_any_text_gives_settings_or_an_input_error(overrides: dict[str, str]) -> None:
    try:
        settings = apply_overrides(Settings(), overrides)
    except InputError as error:
        assert error.remedy
    else:
        assert settings_from_dict(settings_to_dict(settings)) == settings


def test_overrides_change_what_they_name_and_nothing_else() -> None:
    start = load_preset("lung-ct")
    changed = apply_overrides(
        start, {"solver.levels": "3", "features.window": "none", "align": "center", "solver.low_pass": "off"}
    )
    assert changed == dataclasses.replace(
        start,
        align=Alignment.CENTRE,
        features=dataclasses.replace(start.features, window=None),
        solver=dataclasses.replace(start.solver, levels=3, low_pass=False),
    )


def test_unknown_option_lists_close_matches() -> None:
    with pytest.raises(InputError, match=r"solver\.sharpnes.*Did you mean solver\.sharpness"):
        apply_overrides(Settings(), {"solver.sharpnes": "3"})


def test_preset_is_no_option() -> None:
    with pytest.raises(InputError, match="no option called 'preset'"):
        apply_overrides(Settings(), {"preset": "fast"})


def test_unknown_preset_lists_close_matches() -> None:
    with pytest.raises(InputError, match="Did you mean lung-ct"):
        load_preset("lungct")
    with pytest.raises(InputError, match="Choose one of: generic"):
        load_preset("../../x")


def test_paper_method_is_the_released_solver_whatever_the_preset() -> None:
    assert with_method(load_preset("fast"), "voxelopt-paper").solver == VoxelOptOptions.paper()
    assert with_method(load_preset("fast"), "voxelopt") == load_preset("fast")
    with pytest.raises(InputError, match="voxelopt-paper"):
        with_method(Settings(), "voxelopt-papr")
