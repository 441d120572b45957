"""Photographs by name."""

from pathlib import Path

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from PIL import Image

from ovs3d.opened_run import OpenedRun
from ovs3d.views import photographs, read_views


def outputs_of(*paths: str) -> DataparserOutputs:
    cameras = Cameras(
        torch.eye(4)[None, :3].repeat(len(paths), 1, 1), fx=5.0, fy=5.0, cx=2.0, cy=2.0, width=4, height=4
    )
    return DataparserOutputs([Path("copy") / Path(path).name for path in paths], cameras,
                             metadata={"full_size_filenames": [Path(path) for path in paths]})  # fmt: skip


def test_photographs_are_named_by_their_stems_or_by_their_paths_where_stems_repeat() -> None:
    found = photographs(outputs_of("scene/a.jpg", "scene/b.png"), outputs_of("scene/c.png"))
    assert list(found) == ["a", "b", "c"] and found["b"].path == Path("scene/b.png")
    twins = photographs(outputs_of("scene/left/1.png", "scene/right/1.png"))
    assert list(twins) == ["left/1", "right/1"] and twins["right/1"].path == Path("scene/right/1.png")
    cases = photographs(outputs_of("scene/1.JPG", "scene/1.jpg"))
    assert list(cases) == ["1.JPG", "1.jpg"] and cases["1.jpg"].path == Path("scene/1.jpg")


def test_views_of_one_stem_have_names_of_their_own(tmp_path: Path) -> None:
    for number, side in enumerate(("left", "right")):
        (tmp_path / side).mkdir()
        Image.new("RGB", (4, 4), (100 * number, 0, 0)).save(tmp_path / side / "1.png")
    outputs = outputs_of(str(tmp_path / "left" / "1.png"), str(tmp_path / "right" / "1.png"))
    outputs.image_filenames = outputs.metadata["full_size_filenames"]
    first, second = read_views(outputs, ("a", "b"))
    assert (first.name, second.name) == ("left/1", "right/1")
    assert first.photo.max() == 0.0 and second.photo[0, 0, 0] > 0.3


def test_names_of_a_split_are_those_of_all_photographs() -> None:
    run = OpenedRun.__new__(OpenedRun)
    splits = outputs_of("scene/train/1.png", "scene/train/2.png"), outputs_of("scene/test/1.png")
    run.train_outputs, run.held_out_outputs = splits
    assert run.names(run.train_outputs) == ["train/1", "train/2"] and run.names(run.held_out_outputs) == ["test/1"]
    assert run.photograph("test/1").path == Path("scene/test/1.png")
