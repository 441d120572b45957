"""Distances of training pixels: which views are matched, and which pixel gets which distance."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from PIL import Image

from ovs3d.data import distances
from ovs3d.data.datamanager import OVS3DDataManager
from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.data.dataset import OVS3DDataset
from ovs3d.data.distances import ViewDistances, sensor_distance
from ovs3d.data.validation import validate_scene
from ovs3d.errors import UserError
from ovs3d.plane_sweep import PosedViews
from tests.data.test_datamanager import folders, make_manager  # noqa: F401
from tests.end_to_end.box_scene import CLASSES, HEIGHT, WIDTH, write_scene


class GreyViews(OVS3DDataset):
    """Photographs of 32 x 16 pixels without texture; the last one may be 16 x 32."""

    def __init__(self, count: int, camera_type: CameraType = CameraType.PERSPECTIVE, tall_last: bool = False) -> None:
        widths, heights = torch.full((count, 1), 32), torch.full((count, 1), 16)
        if tall_last:
            widths[-1], heights[-1] = 16, 32
        pose = torch.eye(4)[None, :3].repeat(count, 1, 1)
        pose[:, 0, 3] = torch.arange(count) / count
        self.cameras = Cameras(pose, fx=20.0, fy=20.0, cx=widths / 2, cy=heights / 2, width=widths, height=heights,
                               camera_type=camera_type)  # fmt: skip

    def __len__(self) -> int:
        return len(self.cameras)

    def get_image_float32(self, image_idx: int) -> torch.Tensor:
        """One grey for every view."""
        height, width = int(self.cameras.height[image_idx]), int(self.cameras.width[image_idx])
        return torch.full((height, width, 3), image_idx / len(self))


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> list[PosedViews]:
    """A sweep that answers 100 view + 10 row + column, and what it was called with."""
    calls: list[PosedViews] = []

    def sweep(views: PosedViews) -> torch.Tensor:
        calls.append(views)
        count, height, width = views.grey.shape
        view, row, column = torch.meshgrid(*(torch.arange(n) for n in (count, height, width)), indexing="ij")
        return 100.0 * view + 10.0 * row + column

    monkeypatch.setattr(distances, "sweep", sweep)
    return calls


def test_pixels_find_the_cell_that_covers_them(counting: list[PosedViews], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "LONG_SIDE", 8)
    found = ViewDistances.of_sweep(GreyViews(4, tall_last=True))
    assert counting[0].grey.shape == (4, 4, 8)
    pixels = torch.tensor([[0, 0, 0], [2, 15, 31], [1, 4, 8], [3, 31, 15], [3, 8, 4]])
    assert found.at(pixels).tolist() == [0.0, 237.0, 112.0, 337.0, 312.0]


def test_intrinsics_follow_the_smaller_size(counting: list[PosedViews], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "LONG_SIDE", 8)
    ViewDistances.of_sweep(GreyViews(3, tall_last=True))
    torch.testing.assert_close(
        counting[0].intrinsics, torch.tensor([[5.0, 5.0, 4.0, 2.0], [5.0, 5.0, 4.0, 2.0], [10.0, 2.5, 4.0, 2.0]])
    )
    centre = counting[0].directions[:, 1:3, 3:5].mean(dim=(1, 2))
    torch.testing.assert_close(centre / centre.norm(dim=-1, keepdim=True), torch.tensor([[0.0, 0.0, -1.0]] * 3))


def test_long_captures_are_matched_in_part(counting: list[PosedViews], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "MAX_VIEWS", 3)
    found = ViewDistances.of_sweep(GreyViews(9))
    assert len(counting[0].grey) == 3
    at = found.at(torch.tensor([[view, 0, 1] for view in range(9)]))
    assert at.tolist() == [1.0, 0, 0, 0, 101.0, 0, 0, 0, 201.0]


@pytest.mark.parametrize("dataset", [GreyViews(2), GreyViews(4, CameraType.FISHEYE)], ids=["two", "fisheye"])
def test_what_cannot_be_matched_has_no_distances(dataset, counting: list[PosedViews]) -> None:
    found = ViewDistances.of_sweep(dataset)
    assert counting == [] and found.known == 0.0
    assert not found.at(torch.tensor([[1, 3, 3]])).any()


def test_depth_maps_become_distances_along_rays(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene", 9)
    (scene / "depth").mkdir()
    meta = json.loads((scene / "transforms.json").read_text())
    for index, frame in enumerate(meta["frames"]):
        depth = np.full((HEIGHT, WIDTH), 1000 + 100 * index, np.uint16)  # Millimetres.
        depth[:, : WIDTH // 2] = 0
        frame["depth_file_path"] = f"depth/{index}.png"
        Image.fromarray(depth).save(scene / frame["depth_file_path"])
    (scene / "transforms.json").write_text(json.dumps(meta))
    config = OVS3DDataParserConfig(data=scene, classes=CLASSES)
    validate_scene(config, sensor_depth=True)
    outputs = config.setup().get_dataparser_outputs("train")
    dataset = OVS3DDataset(outputs)
    found = ViewDistances.of_sensor(dataset)
    assert found.known == 0.5
    pixels = torch.tensor([[0, 3, 40], [6, 30, 25], [2, 5, 7]])
    distance = found.at(pixels)
    rays = dataset.cameras.generate_rays(pixels[:, :1], coords=pixels[:, 1:] + 0.5)
    forward = -dataset.cameras.camera_to_worlds[pixels[:, 0], :, 2]
    depth = (rays.directions * distance[:, None] * forward).sum(dim=-1) / outputs.dataparser_scale
    torch.testing.assert_close(depth, torch.tensor([1.1, 1.7, 0.0]), atol=2e-3, rtol=0.0)


def test_depth_is_read_where_the_ray_goes(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(1.0, 4.0, 40, dtype=np.float32), (30, 1))
    ramp[0, 0] = np.inf
    np.save(tmp_path / "depth.npy", ramp)
    camera = Cameras(torch.eye(4)[None, :3], fx=1e6, fy=1e6, cx=20.0, cy=15.0, width=40, height=30)[0]
    found = sensor_distance(tmp_path / "depth.npy", camera, 2.0, (6, 8))
    middles = 2.0 * torch.from_numpy(ramp[15, 2::5])  # Of every five columns the third.
    torch.testing.assert_close(found[3], middles, atol=1e-4, rtol=0.0)
    whole = sensor_distance(tmp_path / "depth.npy", camera, 2.0, (30, 40))
    assert whole[0, 0] == 0.0 and whole.isfinite().all()


def test_depth_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"transforms.json names no depth maps"):
        validate_scene(OVS3DDataParserConfig(data=write_scene(tmp_path / "scene"), classes=CLASSES), sensor_depth=True)


def test_batches_carry_their_pixels_distances(folders: tuple[Path, Path]) -> None:  # noqa: F811
    manager: OVS3DDataManager = make_manager(folders)
    assert "distance" not in manager.next_train(0)[1]
    manager.distances = ViewDistances.of_sweep(manager.train_dataset)
    assert manager.distances.distances.shape[1:] == (HEIGHT, WIDTH), "small photographs keep their size"
    manager.distances.distances = torch.rand(7, HEIGHT, WIDTH)
    _, batch = manager.next_train(1)
    view, row, column = batch["indices"].unbind(-1)
    assert torch.equal(batch["distance"], manager.distances.distances[view, row, column])
