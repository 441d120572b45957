"""Checkpoints of the host: what is read of them, and the sentence for what is none."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ovs3d.checkpoints import read_checkpoint
from ovs3d.errors import UserError

GOOD = {"step": 7, "pipeline": {"_model.a": torch.ones(1000), "_model.module.b": torch.zeros(3)}, "optimizers": {}}


def write(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def test_step_and_model_are_read(tmp_path: Path) -> None:
    step, model = read_checkpoint(write(tmp_path / "a.ckpt", GOOD))
    assert step == 7 and set(model) == {"a", "b"} and model["a"].equal(torch.ones(1000))


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_file_cut_short_is_named(kept: float, tmp_path: Path) -> None:
    path = write(tmp_path / "a.ckpt", GOOD)
    whole = path.read_bytes()
    path.write_bytes(whole[: round(kept * len(whole))])
    with pytest.raises(UserError, match=r"a\.ckpt cannot be read.*damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [[1], {"step": 1}, {"pipeline": {}}, {"step": 1, "pipeline": 3}, {"step": 1, "pipeline": {"_model.a": Path("x")}}],
    ids=["list", "no model", "no step", "number", "other objects"],
)
def test_file_of_another_program_is_named(content: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.ckpt cannot be read"):
        read_checkpoint(write(tmp_path / "a.ckpt", content))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.ckpt cannot be read.*No such file"):
        read_checkpoint(tmp_path / "a.ckpt")
