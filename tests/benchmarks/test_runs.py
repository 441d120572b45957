"""Runs in their own process, with a small program in the place of `ns-train`."""

import json
import stat
import sys
from pathlib import Path

import pytest

from ovs3d.benchmarks import runs
from ovs3d.errors import UserError

PROGRAM = f"""#!{sys.executable}
import json, os, pathlib, sys
words = sys.argv[1:]
value = lambda flag: words[words.index(flag) + 1]
folder = pathlib.Path(value("--output-dir"), value("--experiment-name"), words[0], value("--timestamp"))
folder.mkdir(parents=True)
(folder / "called.json").write_text(json.dumps([words, os.environ.get("OMP_NUM_THREADS")]))
print("photo.png is damaged; replace it.")
print("-----")
sys.exit(int(value("--status")) if "--status" in words else 0)
"""


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bin" / "ns-train"
    path.parent.mkdir()
    path.write_text(PROGRAM)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(runs, "BIN", path.parent)


def test_a_run_is_trained_once(tmp_path: Path) -> None:
    arguments = (tmp_path / "out", "scene", "ovs3d-tiny", tmp_path / "data", 4, ["--classes", "a b"])
    folder = runs.train(*arguments, threads=1)
    assert folder == tmp_path / "out" / "scene" / "ovs3d-tiny" / "seed-4"
    words, threads = json.loads((folder / "called.json").read_text())
    assert words[:3] == ["ovs3d-tiny", "--data", str(tmp_path / "data")] and words[-2:] == ["--classes", "a b"]
    assert words[words.index("--machine.seed") + 1] == "4" and threads == "1"
    assert "damaged" in (tmp_path / "out" / "logs" / "scene-ovs3d-tiny-4.log").read_text()
    assert runs.train(*arguments) == folder  # The program cannot make its folder twice.


def test_a_run_of_other_flags_or_data_is_not_taken(tmp_path: Path) -> None:
    arguments = (tmp_path / "out", "scene", "ovs3d", tmp_path / "data", 0)
    folder = runs.train(*arguments)
    with pytest.raises(UserError, match="other data or flags"):
        runs.train(*arguments, flags=["--encoder", "tiny-clip"])
    with pytest.raises(UserError, match="other data or flags"):
        runs.train(*arguments[:3], tmp_path / "elsewhere", 0)
    (folder / "done").write_text("")
    assert runs.train(*arguments, flags=["--encoder", "tiny-clip"]) == folder


def test_failure_names_the_log_and_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"status 2.*logs/scene-ovs3d-0\.log.*: photo\.png is damaged; replace it\.$"):
        runs.train(tmp_path / "out", "scene", "ovs3d", tmp_path / "data", 0, ["--status", "2"])
    assert not list(tmp_path.rglob("done"))
