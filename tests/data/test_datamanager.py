"""Batches of both stages."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ovs3d.data.datamanager import OVS3DDataManager, OVS3DDataManagerConfig
from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.field.samples import KeptSamples, SampleTable, build_table
from ovs3d.teachers.base import FeatureMeta
from ovs3d.teachers.store import FeatureStore
from tests.end_to_end.box_scene import CLASSES, HEIGHT, WIDTH, write_features, write_scene

VIEWS = 9  # Numbers 0 and 8 are held out.


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("manager")
    scene = write_scene(root / "scene", VIEWS)
    return scene, write_features(root / "features", scene)


def make_manager(folders: tuple[Path, Path], **settings) -> OVS3DDataManager:
    scene, features = folders
    config = OVS3DDataManagerConfig(
        dataparser=OVS3DDataParserConfig(data=scene, classes=CLASSES),
        teachers=("files",),
        features=features,
        train_num_rays_per_batch=64,
        eval_num_rays_per_batch=16,
        **{"semantic_rays": 32, "patches": 3, "patch_side": 2, "table_rays": 500, **settings},
    )
    return OVS3DDataManager(config, device="cpu", test_mode="val")


def test_held_out_photographs_may_differ_in_size(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene", VIEWS)
    features = write_features(tmp_path / "features", scene)
    meta = json.loads((scene / "transforms.json").read_text())
    frame = meta["frames"][0]
    halved = {key: meta[key] / 2 for key in ("fl_x", "fl_y", "cx", "cy")}
    frame |= {"w": WIDTH // 2, "h": HEIGHT // 2, **halved}
    for folder in ("images", "labels"):
        path = scene / folder / Path(frame["file_path"]).name
        with Image.open(path) as picture:
            picture.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.NEAREST).save(path)
    (scene / "transforms.json").write_text(json.dumps(meta))
    manager = make_manager((scene, features))
    small, large = (manager.eval_dataset[index] for index in range(2))
    assert small["image"].shape[:2] == small["labels"].shape == (HEIGHT // 2, WIDTH // 2)
    assert large["image"].shape[:2] == large["labels"].shape == (HEIGHT, WIDTH)
    assert manager.next_eval(0)[1]["image"].shape == (16, 3)


def sample_rays(views: torch.Tensor, uv: torch.Tensor) -> KeptSamples:
    """Samples that tell which ray they belong to."""
    place = torch.stack([views / 16, uv[:, 0], uv[:, 1]], dim=-1)
    return KeptSamples(place[:, None].expand(-1, 2, -1), torch.full((len(views), 2), 0.5), 1.0 - place)


def build(lattice: tuple[int, int], random_rays: int, views: int = VIEWS - 2) -> SampleTable:
    return build_table(sample_rays, views, random_rays, lattice, torch.Generator().manual_seed(0))


def add_patches(manager: OVS3DDataManager, folder: Path) -> None:
    """Gives the manager a patch encoder's features on a grid of 3 x 5."""
    paths = []
    for view in range(VIEWS - 2):
        paths.append(folder / f"patch_{view}.npy")
        np.save(paths[-1], np.random.default_rng(view).normal(size=(1, 3, 5, 4)).astype(np.float16))
    store = FeatureStore(FeatureMeta("dino", "dino-space", 4, ("tokens",), False), paths)
    assert manager.bank is not None
    manager.bank = replace(manager.bank, patch_store=store)


def test_first_stage_yields_pixels_without_labels(folders) -> None:
    manager = make_manager(folders)
    rays, batch = manager.next_train(0)
    assert len(rays) == 64 and batch["image"].shape == (64, 3) and "labels" not in batch
    assert manager.get_train_rays_per_batch() == 64
    item = manager.train_dataset[0]
    assert "labels" not in item
    view, row, column = batch["indices"][0].tolist()
    assert torch.equal(batch["image"][0], manager.train_dataset[view]["image"][row, column])
    held = manager.train_image_dataloader.cached_collated_batch
    assert held is not None and held["image"].dtype == torch.uint8, "all photographs are held as bytes"
    assert "labels" in manager.eval_dataset[0]


def test_held_out_views_have_no_part_in_training(folders) -> None:
    manager = make_manager(folders)
    assert [path.stem for path in manager.teacher_images("test")] == ["view_00", "view_08"]
    assert [path.stem for path in manager.teacher_images("train")] == [f"view_0{i}" for i in range(1, 8)]
    assert manager.bank is not None
    assert [path.stem for path in manager.bank.text_store.paths] == [f"view_0{i}" for i in range(1, 8)]


@pytest.mark.parametrize("mode", ["test", "inference"])
def test_commands_that_do_not_train_need_no_features(mode, folders, tmp_path: Path) -> None:
    config = OVS3DDataManagerConfig(
        dataparser=OVS3DDataParserConfig(data=folders[0]), teachers=("files",), features=tmp_path / "gone"
    )
    manager = OVS3DDataManager(config, device="cpu", test_mode=mode)
    assert manager.bank is None
    if mode == "test":
        assert len(manager.next_train(0)[0]) == config.train_num_rays_per_batch


def test_rays_go_through_their_place_in_the_picture(folders) -> None:
    manager = make_manager(folders)
    generator = torch.Generator().manual_seed(1)
    views, uv = torch.randint(VIEWS - 2, (50,), generator=generator), torch.rand(50, 2, generator=generator)
    rays = manager.rays_at(views, uv)
    torch.testing.assert_close(rays.directions.norm(dim=-1), torch.ones(50))
    cameras = manager.train_dataset.cameras
    poses = cameras.camera_to_worlds[views]
    torch.testing.assert_close(rays.origins, poses[:, :, 3])
    # Back into the camera: it looks along -z, y points up.
    local = torch.einsum("nij,ni->nj", poses[:, :, :3], rays.directions)
    x = cameras.cx[views, 0] + cameras.fx[views, 0] * local[:, 0] / -local[:, 2]
    y = cameras.cy[views, 0] - cameras.fy[views, 0] * local[:, 1] / -local[:, 2]
    torch.testing.assert_close(torch.stack([x / WIDTH, y / HEIGHT], dim=-1), uv, atol=1e-5, rtol=0.0)


def test_rays_of_both_stages_agree(folders) -> None:
    manager = make_manager(folders)
    rays, batch = manager.next_train(0)
    view, row, column = batch["indices"].unbind(dim=-1)
    uv = torch.stack([(column + 0.5) / WIDTH, (row + 0.5) / HEIGHT], dim=-1)
    torch.testing.assert_close(manager.rays_at(view, uv).directions, rays.directions, atol=1e-6, rtol=0.0)


def test_table_is_capped_and_never_more_than_the_pixels(folders, tmp_path: Path) -> None:
    pixels = WIDTH * HEIGHT * (VIEWS - 2)
    for cap, patches, expected in ((500, True, 500), (10**9, True, pixels + 15 * 7), (500, False, 500), (1, False, 32)):
        manager = make_manager(folders, table_rays=cap)
        if patches:
            add_patches(manager, tmp_path)
        manager.start_semantics(build)
        assert manager.samples is not None and len(manager.samples) == expected
        assert manager.samples.lattice == ((7, 3, 5) if patches else (7, 0, 0))


def test_second_stage_yields_rows_with_their_own_features(folders, tmp_path: Path) -> None:
    manager = make_manager(folders)
    add_patches(manager, tmp_path)
    manager.start_semantics(build)
    rays, batch = manager.next_train(1)
    assert len(rays) == 32 + 3 * 4 == manager.get_train_rays_per_batch()
    assert (batch["random_rays"], batch["patch_tokens"]) == (32, 4) and "image" not in batch
    points = rays.metadata["points"].unflatten(1, (-1, 3))
    torch.testing.assert_close(rays.metadata["colours"], 1.0 - points[:, 0], atol=1e-3, rtol=0.0)
    assert rays.metadata["weights"].shape == (44, 2)
    torch.testing.assert_close(points[:, 0, 0], batch["views"] / 16, atol=1e-3, rtol=0.0)
    uv = points[:, 1, 1:3]
    assert manager.bank is not None
    features, valid = manager.bank.text_store.lookup(batch["views"], uv)
    torch.testing.assert_close(batch["features"], features, atol=0.02, rtol=0.0)
    assert torch.equal(batch["features_valid"], valid)
    # The last rows are patches: 2 x 2 neighbours of the lattice in one view.
    patch = uv[32:].reshape(3, 4, 2) * torch.tensor([5.0, 3.0])
    steps = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    torch.testing.assert_close(patch - patch[:, :1], steps.expand(3, 4, 2), atol=0.01, rtol=0.0)
    assert (batch["views"][32:].reshape(3, 4).diff(dim=1) == 0).all()


def test_what_is_masked_teaches_nothing(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene", VIEWS)
    meta = json.loads((scene / "transforms.json").read_text())
    for number, frame in enumerate(meta["frames"]):
        mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
        mask[:, : WIDTH * (number + 1) // 20] = 0  # Ever more of the left side.
        Image.fromarray(mask).save(scene / f"mask_{number}.png")
        frame["mask_path"] = f"mask_{number}.png"
    (scene / "transforms.json").write_text(json.dumps(meta))
    manager = make_manager((scene, write_features(tmp_path / "features", scene)), semantic_rays=400)
    add_patches(manager, tmp_path)
    manager.start_semantics(build)
    rays, batch = manager.next_train(1)
    points = rays.metadata["points"].unflatten(1, (-1, 3))
    number = batch["views"] + 1 + (batch["views"] >= 7)  # Numbers 0 and 8 are held out.
    masked = points[:, 0, 1] < (WIDTH * (number + 1) // 20) / WIDTH - 1e-3
    assert 40 < masked.sum() < 200
    assert not batch["features_valid"][masked].any() and not batch["patch_valid"][masked].any()
    free = points[:, 0, 1] > (WIDTH * (number + 1) // 20) / WIDTH + 1e-3
    assert batch["features_valid"][free].all() and batch["patch_valid"][free].all()
    assert manager.bank is not None
    _, valid = manager.bank.cells(6)
    assert 0.5 < valid.float().mean() < 0.7, "eight twentieths of the last view are masked"


def test_run_without_patch_encoder_has_no_patches(folders) -> None:
    manager = make_manager(folders)
    manager.start_semantics(build)
    rays, batch = manager.next_train(1)
    assert len(rays) == 32 and batch["patch_tokens"] == 0 and "patch_features" not in batch
    assert manager.get_train_rays_per_batch() == 32
