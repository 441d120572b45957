import io
import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from ovs3d.errors import UserError
from ovs3d.evaluation import report
from ovs3d.evaluation.report import ResultRow, header, read_results, results_table, write_json, write_results

ROW = ResultRow("miou", 0.81234, 0.8, "fraction", True, 0.01, (0, 1, 2), "make demo")


def refuse(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


def test_numbers_that_are_not_finite_become_null_at_any_depth(tmp_path: Path):
    path = tmp_path / "new" / "summary.json"
    write_json(
        path,
        {
            "miou": math.nan,
            "iou": {"a": np.float32("inf"), "b": torch.tensor(0.5)},
            "rows": [(1, -math.inf), np.array([1.0, math.nan])],
            "count": np.int64(3),
            "ok": True,
            "path": Path("x"),
            "name": "Жук",
        },
    )
    content = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    del content["header"]
    assert content == {
        "miou": None,
        "iou": {"a": None, "b": 0.5},
        "rows": [[1, None], [1.0, None]],
        "count": 3,
        "ok": True,
        "path": "x",
        "name": "Жук",
    }


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "summary.json"
    write_json(path, {"value": 1})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_json(path, {"value": object()})
    monkeypatch.setattr(report.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_json(path, {"value": 2})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["summary.json"]


def test_header_names_the_machine_and_the_versions():
    content = header()
    assert content["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert content["machine"]["cores"] >= 1 and len(content["machine"]["cpu"]) > 0
    assert content["machine"]["memory_gb"] > 0.1


def test_commit_is_that_of_the_source_tree_and_says_when_files_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = tmp_path / "tree" / "ovs3d" / "evaluation" / "report.py"
    module.parent.mkdir(parents=True)
    module.write_text("one")
    monkeypatch.setattr(report, "__file__", str(module))
    assert header()["commit"] is None
    tree = str(tmp_path / "tree")
    identity = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", tree, *command], check=True)
    commit = header()["commit"]
    assert len(commit) == 40
    module.write_text("two")
    assert header()["commit"] == f"{commit}-dirty"


def test_rows_come_back_as_they_were_written(tmp_path: Path):
    rows = [ROW, ResultRow("psnr", None, None, "dB", True, None, (), "make bench")]
    write_results(tmp_path / "main.json", rows)
    assert read_results(tmp_path / "main.json") == rows
    fields = json.loads((tmp_path / "main.json").read_text())["rows"][0]
    assert list(fields) == ["name", "value", "target", "unit", "higher_is_better", "spread", "seeds", "command"]


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": [{"name": "x"}]}', '{"rows": [1]}'])
def test_a_broken_file_of_results_is_the_users_to_mend(tmp_path: Path, text: str):
    path = tmp_path / "main.json"
    with pytest.raises(UserError, match="does not exist"):
        read_results(path)
    path.write_text(text)
    with pytest.raises(UserError, match=r"main\.json"):
        read_results(path)


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
