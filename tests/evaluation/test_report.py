import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from ovs3d.errors import UserError
from ovs3d.evaluation import report
from ovs3d.evaluation.report import header, write_json


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
    with pytest.raises(UserError, match=r"summary\.json cannot be written \(disk full\)"):
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
