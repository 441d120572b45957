"""From a folder to cameras and metadata, for every layout."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.data.datasets.base_dataset import InputDataset
from PIL import Image

from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.data.validation import training_images
from ovs3d.errors import UserError
from tests.data.scene_writer import (
    HEIGHT,
    WIDTH,
    image_name,
    make_cameras,
    write_colmap,
    write_labels,
    write_llff,
    write_masks,
    write_transforms,
)

COUNT = 10
REAL = Path(os.environ.get("OVS3D_REAL_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
WORDS = ("a cone", "floor: the floor | a grey floor")
WRITERS = {"transforms": write_transforms, "llff": write_llff, "colmap": write_colmap}


def parse(data: Path, split: str = "train", **options) -> DataparserOutputs:
    return OVS3DDataParserConfig(data=data, **{"classes": WORDS, **options}).setup().get_dataparser_outputs(split)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("max_side", [1600, 20])
def test_rays_pass_through_the_points_they_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, max_side: int
) -> None:
    monkeypatch.setenv("OVS3D_CACHE", str(tmp_path / "cache"))
    scene = WRITERS[layout](tmp_path / "scene", COUNT)
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (20, 3))
    for split, views in (("train", [1, 2, 3, 4, 5, 6, 7, 9]), ("val", [0, 8])):
        outputs = parse(scene, split, max_side=max_side)
        transform = outputs.dataparser_transform.double().numpy()
        inside = torch.from_numpy((points @ transform[:, :3].T + transform[:, 3]) * outputs.dataparser_scale).float()
        for row, view in enumerate(views):
            width, height = int(outputs.cameras.width[row]), int(outputs.cameras.height[row])
            pixels = np.array([make_cameras(COUNT)[view].project(point) for point in points])
            pixels *= [width / WIDTH, height / HEIGHT]
            coordinates = torch.from_numpy(pixels[:, ::-1].copy()).float()
            index = torch.full((len(points), 1), row)
            rays = outputs.cameras.generate_rays(index, coords=coordinates)
            along = ((inside - rays.origins) * rays.directions).sum(-1, keepdim=True)
            assert (along > 0).all()
            assert (rays.origins + along * rays.directions - inside).norm(dim=-1).max() < 1e-5


def test_llff_and_transforms_give_the_same_cameras(tmp_path: Path) -> None:
    for split in ("train", "test"):
        ours = parse(write_llff(tmp_path / "a", COUNT), split).cameras
        reference = parse(write_transforms(tmp_path / "b", COUNT), split).cameras
        torch.testing.assert_close(ours.camera_to_worlds, reference.camera_to_worlds, atol=1e-6, rtol=0.0)
        for name in ("fx", "fy", "cx", "cy", "width", "height"):
            assert torch.equal(getattr(ours, name), getattr(reference, name))


@pytest.mark.parametrize("layout", WRITERS)
def test_every_split_has_the_same_world(tmp_path: Path, layout: str) -> None:
    config = OVS3DDataParserConfig(data=WRITERS[layout](tmp_path, COUNT), classes=WORDS)
    train, val, test = (config.setup().get_dataparser_outputs(split) for split in ("train", "val", "test"))
    assert torch.equal(train.dataparser_transform, test.dataparser_transform)
    assert train.dataparser_scale == test.dataparser_scale
    assert val.image_filenames == test.image_filenames
    assert not set(train.image_filenames) & set(test.image_filenames)
    reach = torch.cat([train.cameras.camera_to_worlds, test.cameras.camera_to_worlds])[:, :, 3]
    assert reach.abs().max() == pytest.approx(1.0) and reach.mean(0).abs().max() < 1e-5
    assert train.scene_box.aabb.tolist() == [[-1.0] * 3, [1.0] * 3]


def test_metadata_without_labels_and_depth(tmp_path: Path) -> None:
    outputs = parse(write_transforms(tmp_path, COUNT))
    assert outputs.metadata == {
        "classes": (("a cone", ("a cone",)), ("floor", ("the floor", "a grey floor"))),
        "label_names": (),
        "label_paths": [None] * 8,
        "full_size_filenames": outputs.image_filenames,
    }
    assert outputs.mask_filenames is None


def test_masked_views_of_3d_ovs_are_held_out(tmp_path: Path) -> None:
    scene = write_llff(tmp_path, COUNT)
    inside = np.ones((HEIGHT, WIDTH), dtype=bool)
    write_masks(scene, {2: {"wood": inside}, 7: {"grass": inside}}, ["wood", "grass"])
    held_out = parse(scene, "test", classes=())
    assert [name for name, _ in held_out.metadata["classes"]] == ["grass", "wood"]
    assert [path.name for path in held_out.image_filenames] == [image_name(2), image_name(7)]
    assert held_out.metadata["label_paths"] == [scene / "segmentations" / "02", scene / "segmentations" / "07"]
    assert len(parse(scene, "train").image_filenames) == 8
    assert len(parse(scene, "train", protocol="paper").image_filenames) == 10
    assert parse(scene, "test", protocol="paper").image_filenames == held_out.image_filenames


def test_named_views_are_held_out(tmp_path: Path) -> None:
    scene, named = write_colmap(tmp_path, COUNT), (image_name(6), Path(image_name(3)).stem)
    held_out = parse(scene, "test", held_out=named)
    assert [path.name for path in held_out.image_filenames] == [image_name(3), image_name(6)]
    assert len(parse(scene, held_out=named).image_filenames) == 8
    assert len(parse(scene, held_out=named, protocol="paper").image_filenames) == 10
    assert len(training_images(OVS3DDataParserConfig(data=scene, held_out=named))) == 8


def test_labels_follow_their_views(tmp_path: Path) -> None:
    scene = write_transforms(tmp_path, COUNT)
    write_labels(scene, {8: np.zeros((HEIGHT, WIDTH), np.uint8)}, ["floor", "a cone"])
    metadata = parse(scene, "val").metadata
    assert metadata["label_paths"] == [None, scene / "labels" / image_name(8)]
    assert metadata["label_names"] == ("floor", "a cone")


def test_depth_and_masks_follow_their_views(tmp_path: Path) -> None:
    scene = write_transforms(tmp_path, 3)
    text = (scene / "transforms.json").read_text()
    for i in range(3):
        name = image_name(i)
        Image.fromarray(np.full((4, 6), i, np.uint16)).save(scene / f"depth_{name}")
        Image.fromarray(np.full((HEIGHT, WIDTH), 255, np.uint8)).save(scene / f"mask_{name}")
        extra = f'"depth_file_path": "depth_{name}", "mask_path": "mask_{name}", "file_path": "images/{name}"'
        text = text.replace(f'"file_path": "images/{name}"', extra)
    (scene / "transforms.json").write_text(text)
    outputs = parse(scene, "train")
    assert outputs.metadata["depth_filenames"] == [scene / f"depth_{image_name(i)}" for i in (1, 2)]
    assert outputs.metadata["depth_unit_scale_factor"] == 1e-3
    assert outputs.mask_filenames == [scene / f"mask_{image_name(i)}" for i in (1, 2)]
    assert InputDataset(outputs)[0]["mask"].shape == (HEIGHT, WIDTH, 1)


def test_the_host_loads_downscaled_and_transparent_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVS3D_CACHE", str(tmp_path / "cache"))
    scene = write_transforms(tmp_path / "s", 4)
    path = scene / "images" / image_name(1)
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 4), np.uint8)).save(path)
    outputs = parse(scene, "train", max_side=24)
    dataset = InputDataset(outputs)
    assert [tuple(dataset[i]["image"].shape) for i in range(3)] == [(16, 24, 3)] * 3
    assert (dataset[0]["image"] == 1.0).all()
    assert outputs.metadata["full_size_filenames"][0] == path != outputs.image_filenames[0]


def test_bad_requests(tmp_path: Path) -> None:
    scene = write_transforms(tmp_path, 3)
    with pytest.raises(ValueError, match="unknown split 'all'"):
        parse(scene, "all")
    with pytest.raises(UserError, match="max_side is 0"):
        parse(scene, max_side=0)
    for name in ("transforms.json",):
        text = (scene / name).read_text()
        (scene / name).write_text(text.replace('"transform_matrix": [[', '"transform_matrix": [[1, 0, 0, 0], ['))
    with pytest.raises(UserError, match="4x4"):
        parse(scene)


def test_cameras_at_one_point(tmp_path: Path) -> None:
    scene = write_llff(tmp_path, 4)
    rows = np.load(scene / "poses_bounds.npy")
    np.save(scene / "poses_bounds.npy", rows[:1].repeat(4, axis=0))
    with pytest.raises(UserError, match="all cameras at one point"):
        parse(scene)


@pytest.mark.slow
def test_the_module_stays_out_of_the_hosts_import_circle() -> None:
    program = (
        "import sys, ovs3d.data.dataparser; "
        "unsafe = ('data.datamanagers', 'engine', 'plugins.types', 'utils.eval_utils', 'configs.method_configs'); "
        "found = [name for name in sys.modules if name.startswith(tuple('nerfstudio.' + part for part in unsafe))]; "
        "sys.exit(', '.join(found) or 0)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("name", ["kitchen", "fox"])
def test_real_scenes_are_read_as_the_host_reads_them(name: str) -> None:
    data = (REAL / name).resolve()
    if not data.is_dir():
        pytest.skip(f"{data} is absent; set OVS3D_REAL_DATA")
    host = NerfstudioDataParserConfig(data=data, eval_mode="interval", downscale_factor=1)
    config = OVS3DDataParserConfig(data=data, classes=WORDS)
    for split in ("train", "test"):
        ours, reference = (each.setup().get_dataparser_outputs(split) for each in (config, host))
        assert ours.image_filenames == reference.image_filenames
        for field in (
            "camera_to_worlds",
            "fx",
            "fy",
            "cx",
            "cy",
            "width",
            "height",
            "distortion_params",
            "camera_type",
        ):
            assert torch.equal(getattr(ours.cameras, field), getattr(reference.cameras, field)), field
        assert torch.equal(ours.dataparser_transform, reference.dataparser_transform)
        assert ours.dataparser_scale == reference.dataparser_scale
        assert ours.metadata.get("depth_filenames") == reference.metadata["depth_filenames"]


def test_a_real_scene_with_smaller_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (REAL / "fox").is_dir():
        pytest.skip(f"{REAL / 'fox'} is absent; set OVS3D_REAL_DATA")
    monkeypatch.setenv("OVS3D_CACHE", str(tmp_path))
    config = OVS3DDataParserConfig(data=REAL / "fox", classes=WORDS)
    full = config.setup().get_dataparser_outputs("test")
    small = replace(config, max_side=240).setup().get_dataparser_outputs("test")
    assert (int(small.cameras.width[0]), int(small.cameras.height[0])) == (135, 240)
    assert float(small.cameras.fx[0]) == pytest.approx(float(full.cameras.fx[0]) / 2)
    picture = np.asarray(Image.open(small.image_filenames[0]), dtype=float)
    original = np.asarray(Image.open(full.image_filenames[0]).resize((135, 240), Image.Resampling.BOX), dtype=float)
    assert np.abs(picture - original).mean() < 6.0
    assert small.metadata["full_size_filenames"] == full.image_filenames
