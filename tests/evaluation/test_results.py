import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from ovs3d.evaluation.results import ResultRow, read_results, results_table, write_results

ROW = ResultRow("miou", 0.81234, 0.8, "fraction", True, 0.01, (0, 1, 2), "make demo")


def test_rows_are_written_for_programs_and_for_readers(tmp_path: Path):
    rows = [ROW, ResultRow("size | side", 9.0, 8.0, "GB", False, None, (0,), "make bench")]
    write_results(tmp_path / "main.json", rows)
    written = json.loads((tmp_path / "main.json").read_text())["rows"]
    assert list(written[0]) == ["name", "value", "target", "unit", "higher_is_better", "spread", "seeds", "command"]
    assert written[0]["value"] == 0.81234 and written[0]["seeds"] == [0, 1, 2]
    table = (tmp_path / "main.md").read_text().splitlines()
    assert "| miou | 0.8123 | 0.01 | >= 0.8 | fraction | 3 | `make demo` |" in table
    assert "| size \\| side | **9** | - | <= 8 | GB | 1 | `make bench` |" in table
    assert read_results(tmp_path / "main.json") == rows
    assert read_results(tmp_path / "absent.json") == []
    path = tmp_path / "elsewhere.json"
    path.write_text((tmp_path / "main.json").read_text().replace('"cores": ', '"cores": 9'))
    assert read_results(path) == [], "rows of two machines do not stand in one table"


@pytest.mark.parametrize(
    ("value", "target", "higher", "reached"),
    [(1.0, 0.9, True, True), (1.0, 0.9, False, False), (1.0, 1.0, False, True), (None, 1.0, True, None),
     (1.0, None, True, None), (math.nan, 1.0, True, None)],
)  # fmt: skip
def test_reached(value, target, higher, reached):
    assert ResultRow("x", value, target, "", higher, None, (), "").reached is reached


def test_table_shows_value_spread_and_target():
    missed = ResultRow("memory [peak]", 9.0, 8.0, "GB", False, None, (0,), "make bench")
    console = Console(width=120, record=True, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(results_table([ROW, missed], title="main"))
    text = console.export_text(clear=False)
    assert "0.8123 ± 0.01" in text and ">= 0.8" in text and "<= 8" in text and "memory [peak]" in text
    assert "\x1b[31m9" in console.export_text(styles=True)
