"""The bundled scene, written in the layout of 3D-OVS and read back, is the same scene."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from PIL import Image

from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.data.labels import load_label_map
from ovs3d.errors import UserError
from tests.data.scene_writer import write_transforms
from tools.write_3d_ovs import Write3DOVS

ROOM = Path("data/room")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("3d-ovs") / "room"
    Write3DOVS(ROOM, folder).run()
    return folder


def read(folder: Path, split: str) -> DataparserOutputs:
    return OVS3DDataParserConfig(data=folder).setup().get_dataparser_outputs(split)


@pytest.mark.parametrize("split", ["train", "test"])
def test_views_and_cameras_survive(written: Path, split: str) -> None:
    ours, original = read(written, split), read(ROOM, split)
    assert [path.name for path in ours.image_filenames] == [path.name for path in original.image_filenames]
    assert ours.image_filenames[0].read_bytes() == original.image_filenames[0].read_bytes()
    torch.testing.assert_close(ours.cameras.camera_to_worlds, original.cameras.camera_to_worlds, atol=1e-4, rtol=0.0)
    for name in ("fx", "fy", "cx", "cy", "width", "height", "distortion_params"):
        torch.testing.assert_close(getattr(ours.cameras, name), getattr(original.cameras, name))


def test_labels_survive_exactly_and_classes_are_sorted(written: Path) -> None:
    ours, original = read(written, "test"), read(ROOM, "test")
    names = [name for name, _ in ours.metadata["classes"]]
    assert names == sorted(name for name, _ in original.metadata["classes"]) and len(names) == 16
    for folder, picture in zip(ours.metadata["label_paths"], original.metadata["label_paths"], strict=True):
        # The lists are in another order, so that equality is of names and not of numbers.
        ours_map, expected = (
            load_label_map(path, outputs.metadata["label_names"], names, (240, 320))
            for path, outputs in ((folder, ours), (picture, original))
        )
        assert ours_map is not None and expected is not None and len(np.unique(expected)) > 3
        np.testing.assert_array_equal(ours_map, expected)


def test_every_class_has_a_mask_in_every_held_out_view_and_bounds_are_depths(written: Path) -> None:
    names = {f"{name}.png" for name in (written / "segmentations" / "classes.txt").read_text().splitlines()}
    folders = sorted(path for path in (written / "segmentations").iterdir() if path.is_dir())
    assert [int(folder.name) for folder in folders] == list(range(50, 62))
    assert all({path.name for path in folder.iterdir()} == names for folder in folders)
    near, far = np.load(written / "poses_bounds.npy")[7, 15:]
    depth = np.asarray(Image.open(ROOM / "depth" / "frame_007.png")) / 1000
    assert np.mean(depth < near) < 0.002 and np.mean(depth > far) < 0.002 and depth.min() <= near < far <= depth.max()


def test_what_the_layout_cannot_hold_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    scene = write_transforms(tmp_path / "scene", 3)
    with pytest.raises(UserError, match="no depth map"):
        Write3DOVS(scene, tmp_path / "out").run()
    meta = json.loads((scene / "transforms.json").read_text())
    Image.fromarray(np.full((32, 48), 1000, np.uint16)).save(scene / "depth.png")
    meta["frames"] = [{**frame, "depth_file_path": "depth.png"} for frame in meta["frames"]]
    (scene / "transforms.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match=r"view_100\.png is held out but has no labels"):
        Write3DOVS(scene, tmp_path / "out").run()
    (scene / "transforms.json").write_text(json.dumps({**meta, "k1": 0.1}))
    with pytest.raises(UserError, match="distortion"):
        Write3DOVS(scene, tmp_path / "out").run()
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]
    with pytest.raises(UserError, match="exists"):
        Write3DOVS(scene, scene).run()
