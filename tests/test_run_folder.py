"""RUN: a run folder, its config.yml, or a folder above it."""

import logging
import os
from pathlib import Path

import pytest

from ovs3d.errors import UserError
from ovs3d.run_folder import discard_run, find_run


def make_run(outputs: Path, name: str, age: int = 0, trained: bool = False) -> Path:
    """Writes the config.yml of a run that is `age` seconds old, and perhaps a checkpoint."""
    config = outputs / name / "config.yml"
    config.parent.mkdir(parents=True)
    config.write_text("")
    os.utime(config, (1e9 - age, 1e9 - age))
    if trained:
        (config.parent / "nerfstudio_models").mkdir()
        (config.parent / "nerfstudio_models" / "step-000000009.ckpt").touch()
    return config


def test_run_folder_and_its_file_mean_the_same(tmp_path: Path) -> None:
    config = make_run(tmp_path, "scene/ovs3d/2026-01-01_000000")
    assert find_run(config) == find_run(config.parent) == config


@pytest.mark.parametrize("above", ["", "scene", "scene/ovs3d"])
def test_only_run_below_a_folder_is_taken_and_named(
    above: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_run(tmp_path, "scene/ovs3d/2026-01-01_000000")
    with caplog.at_level(logging.INFO, logger="ovs3d"):
        assert find_run(tmp_path / above) == config
    assert str(config.parent) in caplog.text and "only" in caplog.text


def test_newest_of_several_runs_is_taken_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # The names are in an order that differs from the ages, at unequal depths.
    make_run(tmp_path, "a/ovs3d/z", age=20)
    config = make_run(tmp_path, "b/m", age=10)
    make_run(tmp_path, "c/ovs3d/a", age=30)
    with caplog.at_level(logging.INFO, logger="ovs3d"):
        assert find_run(tmp_path) == config
    assert str(config.parent) in caplog.text and "newest of 3" in caplog.text


def test_runs_without_a_checkpoint_are_skipped_where_another_has_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained = make_run(tmp_path, "a/m/good", age=20, trained=True)
    dead = make_run(tmp_path, "a/m/bad", age=10)
    with caplog.at_level(logging.INFO, logger="ovs3d"):
        assert find_run(tmp_path) == trained
    assert f"{trained.parent}, the only run with a checkpoint in" in caplog.text
    assert find_run(dead.parent) == dead, "it was named itself"


def test_discarded_run_leaves_nothing_but_what_is_not_its_own(tmp_path: Path) -> None:
    dead, other, trained = (make_run(tmp_path, f"a/m/{name}", trained=name == "c") for name in "abc")
    (other.parent / "notes.txt").touch()
    for config in (dead, other, trained):
        discard_run(config.parent)
    assert not dead.parent.exists() and trained.exists()
    assert [path.name for path in other.parent.iterdir()] == ["notes.txt"]
    alone = make_run(tmp_path, "x/m/a")
    discard_run(alone.parent)
    assert not (tmp_path / "x").exists() and tmp_path.exists()


def test_folder_without_a_run_is_named(tmp_path: Path) -> None:
    make_run(tmp_path, "1/2/3/4/too-deep")
    with pytest.raises(UserError, match=f"{tmp_path} holds no config.yml"):
        find_run(tmp_path)


def test_missing_path_and_other_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere does not exist"):
        find_run(tmp_path / "nowhere")
    other = tmp_path / "step-000000100.ckpt"
    other.write_text("")
    with pytest.raises(UserError, match=other.name):
        find_run(other)
