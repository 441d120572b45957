"""Where commands compute: on the GPU where there is one, unless they are told otherwise."""

from pathlib import Path
from typing import Any

import pytest
import torch

import ovs3d.preflight  # noqa: F401 - It must not be imported first where the names that it imports are patched.
from ovs3d.cli.command import chosen_device
from ovs3d.cli.main import main
from ovs3d.errors import UserError
from ovs3d.scene import Scene
from ovs3d.teachers import bank, base
from tests.end_to_end.box_scene import write_scene


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The device that a command loads its run or its teacher on; the command ends there."""
    devices: list[str] = []

    def load(*arguments: Any) -> None:
        devices.extend(argument for argument in arguments if argument in ("cpu", "cuda", "cuda:1"))
        raise UserError("That is all.")

    monkeypatch.setattr(Scene, "load", load)
    monkeypatch.setattr(base, "build_teacher", load)
    monkeypatch.setattr(bank, "open_teachers", load)
    return devices


@pytest.mark.parametrize("name", ["eval", "render", "query", "export", "extract", "prompts"])
def test_gpu_is_taken_where_there_is_one(
    name: str, asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = write_scene(tmp_path / "scene", views=2)
    (tmp_path / "config.yml").touch()
    of_data = {"extract": [str(scene)], "prompts": ["--data", str(scene)]}
    words = ["red box"] if name == "query" else []
    command = [name, *of_data.get(name, [str(tmp_path)]), *words]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for there, flags in ((False, []), (True, []), (True, ["--device", "cuda:1"]), (True, ["--device", "cpu"])):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert main([*command, *flags]) == 2
    assert asked == ["cpu", "cuda", "cuda:1", "cpu"]


@pytest.mark.parametrize(
    ("named", "gpus", "there"),
    [("bogus", 0, "cpu"), ("cuda", 0, "cpu"), ("cuda:1", 1, "cuda or cuda:0 or cpu"), ("mps", 1, "cuda")],
)
def test_device_that_is_not_there_is_named(named: str, gpus: int, there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(UserError, match=f"no device {named} here; give --device {there}"):
        chosen_device(named)
