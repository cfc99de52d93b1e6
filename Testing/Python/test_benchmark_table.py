"""The benchmark's table: its three forms, means over pairs, and what counts as better or worse than a kept one."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from VoxelOptRegistrationLib.benchmark.comparison import compare, margins
from VoxelOptRegistrationLib.benchmark.table import (
    DONE,
    FAILED,
    MEASURES,
    MISSING,
    Measure,
    Row,
    Table,
    finite,
    mean_rows,
    read_table,
    to_csv,
    to_json,
    to_markdown,
)
from VoxelOptRegistrationLib.errors import InputError

HERE = {"processor": "some", "cores": "2"}
MEASURED = {"tre_mm": 1.234, "folds_percent": 0.0, "sdlogj": 0.2, "seconds": 12.5}
ROWS = [
    Row("liver", "ours", DONE, MEASURED, {"liver": 1.5, "outside": 1.0}, default=True),
    Row("liver", "theirs", DONE, {**MEASURED, "tre_mm": 1.1}, note="Theirs 1.0, by default."),
    Row("liver", "lost", FAILED, note="Exit code 3: no memory | at all"),
    Row("brain", "ours", DONE, {"dice": 0.74, "hd95_mm": None}),
    Row("brain", "absent", MISSING, note="Absent needs a package."),
]


def table(rows: list[Row], machine: dict[str, str] = HERE) -> Table:
    return Table("voxelopt benchmark", machine, {"torch": "2"}, rows, ["A remark."])


def cells(page: str) -> list[list[str]]:
    """The cells of every line of the table."""
    return [[c.strip() for c in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]


def test_markdown_is_one_table_with_the_best_of_every_pair_in_bold() -> None:
    page = to_markdown(table(ROWS))
    header, _, *lines = cells(page)
    assert all(len(line) == len(header) for line in lines) and len(lines) == len(ROWS)
    by_name = {(line[0], line[1]): dict(zip(header, line, strict=True)) for line in lines}
    assert by_name["liver", "ours *"]["TRE mm"] == "1.23 (liver 1.50, outside 1.00)"
    assert by_name["liver", "theirs"]["TRE mm"] == "**1.10**"
    assert by_name["liver", "theirs"]["folds %"] == "0.0000"  # equal: nothing is best
    assert by_name["brain", "ours"]["Dice"] == "0.7400" and by_name["brain", "ours"]["TRE mm"] == ""
    assert FAILED in by_name["liver", "lost"].values() and MISSING in by_name["brain", "absent"].values()
    assert "peak MiB" not in header  # nobody has it
    for text in ("processor: some", "torch: 2", "A remark.", "Theirs 1.0, by default.", "Absent needs a package."):
        assert text in page


def test_csv_has_every_row_and_no_rounding_that_hurts() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(ROWS))))
    assert [row["program"] for row in rows] == [row.program for row in ROWS]
    assert float(rows[0]["tre_mm"]) == 1.234 and rows[3]["hd95_mm"] == "" and rows[0]["default"] == "yes"
    assert rows[0]["tre_regions_mm"] == "liver 1.5; outside 1"


def test_json_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text(to_json(table(ROWS), ROWS), encoding="utf-8")
    back = read_table(path)
    assert [dataclasses.replace(row, note="", default=False) for row in ROWS] == list(back.rows)
    assert (back.machine, back.versions) == (HERE, {"torch": "2"})


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2}', '{"format": 1, "title": "", "machine": {}, "versions": {}, "rows": [{}]}', "\0"],
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"other\.json"):
        read_table(path)


def test_means_leave_failures_out_and_count_them() -> None:
    rows = [
        Row("a", "p", DONE, {"dice": 0.5, "peak_memory_mib": 10.0}),
        Row("b", "p", DONE, {"dice": 0.7, "peak_memory_mib": 30.0}),
        Row("c", "p", FAILED, note="why"),
        Row("a", "q", MISSING, note="not there"),
    ]
    p, q = mean_rows(rows)
    assert p.values["dice"] == pytest.approx(0.6) and p.values["peak_memory_mib"] == 30.0
    assert (p.pair, p.status) == ("mean of 3 pairs", FAILED) and "1 of 3 pairs failed: why" in p.note
    assert (q.pair, q.status, q.note) == ("a", MISSING, "not there")


def test_what_is_not_finite_is_nothing() -> None:
    assert finite({"dice": float("nan"), "tre_mm": 1, "hd95_mm": None, "other": 3}) == {
        "dice": None,
        "tre_mm": 1.0,
        "hd95_mm": None,
    }


by_margin = [m.key for m in MEASURES if m.share == 0]
measured = st.fixed_dictionaries({}, optional={key: st.none() | st.floats(0, 5) for key in by_margin})
rows = st.lists(
    st.builds(Row, st.sampled_from("ab"), st.sampled_from("pq"), st.sampled_from([DONE, FAILED]), measured),
    unique_by=lambda row: (row.pair, row.program),
)


@given(first=rows, second=rows)
def test_comparison_swaps_with_the_tables(first: list[Row], second: list[Row]) -> None:
    forth, back = compare(table(first), table(second)), compare(table(second), table(first))
    assert (len(forth.worse), len(forth.better)) == (len(back.better), len(back.worse))
    assert len(forth.other) == len(back.other)
    same = compare(table(first), table(first))
    assert (same.worse, same.better, same.other) == ([], [], [])


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.key)
@pytest.mark.parametrize("old", [0.05, 100.0])
def test_a_change_counts_beyond_the_margin_and_in_the_right_direction(measure: Measure, old: float) -> None:
    limit = max(measure.margin, measure.share * old)

    def moved(by: float) -> tuple[int, int]:
        before, now = (Row("a", "p", DONE, {measure.key: value}) for value in (old, old + by))
        found = compare(table([before]), table([now]))
        return len(found.worse), len(found.better)

    assert moved(0.9 * limit) == moved(-0.9 * limit) == (0, 0)
    more_is_better = measure.key == "dice"
    assert moved(1.1 * limit) == ((0, 1) if more_is_better else (1, 0))
    assert moved(-1.1 * limit) == ((1, 0) if more_is_better else (0, 1))
    assert f"{measure.title} {measure.margin:g}" in margins()


def test_times_are_compared_on_one_machine_only() -> None:
    slow, fast = ([Row("a", "p", DONE, {"seconds": s, "dice": 0.5})] for s in (100.0, 1.0))
    assert compare(table(fast), table(slow)).worse == ["a, p: s alone 1.0 -> 100.0"]
    elsewhere = compare(table(fast, {**HERE, "cores": "16"}), table(slow))
    assert elsewhere.worse == [] and "machines differ" in elsewhere.other[0]


def test_a_run_that_fails_now_is_worse_a_missing_program_is_not() -> None:
    kept = table([Row("a", "p", DONE, {"dice": 0.5}), Row("a", "q", DONE), Row("a", "r", FAILED), Row("a", "s")])
    now = table([Row("a", "p", FAILED, note="no memory"), Row("a", "q", MISSING), Row("a", "r"), Row("a", "t")])
    found = compare(kept, now)
    assert found.worse == ["a, p: no memory"]
    assert found.better == ["a, r: works now (failed before)."]
    assert found.other == ["a, q: not installed.", "a, t: new.", "a, s: only in the kept table."]
