"""All teachers of a run together."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ovs3d.errors import UserError
from ovs3d.relevancy import Normalisation, balanced_range
from ovs3d.teachers import bank as module
from ovs3d.teachers.bank import TeacherBank, open_teachers
from ovs3d.teachers.base import FeatureMeta
from ovs3d.teachers.store import FeatureStore
from tests.end_to_end.box_scene import write_features, write_scene

META = FeatureMeta("labels", "some-space", 4, ("coarse", "fine"), True)


def make_store(folder: Path, name: str, views: int = 5, meta: FeatureMeta = META) -> FeatureStore:
    """Random features on a grid of 3 x 4 cells; the first cell of every view is invalid."""
    generator = np.random.default_rng(len(name))
    paths = []
    for view in range(views):
        values = generator.normal(size=(len(meta.levels), 3, 4, meta.dim))
        values /= np.linalg.norm(values, axis=-1, keepdims=True)
        values[:, 0, 0] = 0.0
        paths.append(folder / f"{name}_{view}.npy")
        np.save(paths[-1], values.astype(np.float16))
    return FeatureStore(meta, paths)


@pytest.fixture
def bank(tmp_path: Path) -> TeacherBank:
    patch_meta = replace(META, teacher="dino", dim=6, levels=("tokens",))
    patch = make_store(tmp_path, "patch", meta=patch_meta)
    return TeacherBank(make_store(tmp_path, "text"), patch, (0, 1, 2, 3, 4), (0, 1))


def rays(count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(5, (count,), generator=generator), torch.rand(count, 2, generator=generator)


def test_targets_are_what_the_stores_say(bank: TeacherBank) -> None:
    views, uv = rays()
    batch = bank.targets(views, uv)
    features, valid = bank.text_store.lookup(views, uv)
    assert torch.equal(batch["features"], features) and torch.equal(batch["features_valid"], valid)
    assert bank.patch_store is not None
    patch, patch_valid = bank.patch_store.lookup(views, uv)
    assert torch.equal(batch["patch_features"], patch[:, 0]) and torch.equal(batch["patch_valid"], patch_valid[:, 0])
    assert torch.equal(batch["views"], views)


def test_views_and_levels_out_of_use_are_invalid(bank: TeacherBank) -> None:
    views, uv = rays()
    every = bank.targets(views, uv)["features_valid"]
    some = replace(bank, used_views=(1, 3), used_levels=(1,)).targets(views, uv)
    expected = every.clone()
    expected[~torch.isin(views, torch.tensor([1, 3]))] = False
    expected[:, 0] = False
    assert torch.equal(some["features_valid"], expected) and expected.any()
    assert torch.equal(some["patch_valid"], bank.targets(views, uv)["patch_valid"])


def test_lattice_is_the_grid_of_the_patch_encoder(bank: TeacherBank) -> None:
    assert bank.lattice == (3, 4)
    assert replace(bank, patch_store=None).lattice == (0, 0)
    assert "patch_features" not in replace(bank, patch_store=None).targets(*rays())


@pytest.mark.parametrize("normalisation", ["scene", "view"])
def test_relevancy_range_is_that_of_valid_cells(bank: TeacherBank, normalisation: Normalisation) -> None:
    bank = replace(bank, used_views=(0, 2))
    text = torch.nn.functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(1)), dim=-1)
    per_view = normalisation == "view"
    found = bank.relevancy_range(text, normalisation)
    by_view = {}
    for view in bank.used_views:
        cells = torch.from_numpy(np.array(bank.text_store.view(view))).float().flatten(1, 2)[:, 1:]
        cosines = torch.nn.functional.normalize(cells, dim=-1) @ text.T
        by_view[view] = torch.stack([cosines.amin(dim=1), cosines.amax(dim=1)])
    whole = torch.stack([torch.minimum(by_view[0], by_view[2])[0], torch.maximum(by_view[0], by_view[2])[1]])
    for view in bank.used_views:
        torch.testing.assert_close(found[:, view], by_view[view] if per_view else whole, atol=1e-5, rtol=0.0)
    if not per_view:
        torch.testing.assert_close(found[:, 4], whole, atol=1e-5, rtol=0.0)


def test_balanced_range_is_of_complete_cells_at_used_levels(bank: TeacherBank, monkeypatch) -> None:
    bank = replace(bank, used_levels=(1,))
    text = torch.nn.functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(1)), dim=-1)
    scene, found = bank.relevancy_range(text, "scene"), bank.relevancy_range(text, "balanced")
    cells = []
    for view in bank.used_views:
        features, valid = bank.text_store.cells(view)
        cells.append((features @ text.T)[valid.all(dim=-1)])
    low, high = balanced_range(torch.cat(cells)[:, 1:], *scene[:, 0, 1:])
    torch.testing.assert_close(found[0, :, 1], low[0].expand(len(bank.text_store), -1))
    torch.testing.assert_close(found[1, :, 1], high[0].expand(len(bank.text_store), -1))
    torch.testing.assert_close(found[:, :, 0], scene[:, :, 0])
    monkeypatch.setattr("ovs3d.teachers.bank.BALANCED_CELLS", 20)  # A part of the cells gives about the same.
    few = bank.relevancy_range(text, "balanced")
    assert not torch.equal(few, found)
    torch.testing.assert_close(few, found, atol=0.2, rtol=0.0)


def test_balanced_range_where_no_cell_is_complete(bank: TeacherBank, monkeypatch) -> None:
    text = torch.nn.functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(1)), dim=-1)
    cells = bank.text_store.cells

    def first_level_unseen(index: int) -> tuple[torch.Tensor, torch.Tensor]:
        features, valid = cells(index)
        return features, valid & torch.tensor([False, True])

    monkeypatch.setattr(bank.text_store, "cells", first_level_unseen)
    scene, balanced = bank.relevancy_range(text, "scene"), bank.relevancy_range(text, "balanced")
    torch.testing.assert_close(balanced, scene)
    one = replace(bank, used_levels=(1,)).relevancy_range(text, "balanced")  # Its cells are all complete.
    assert not torch.allclose(one[:, :, 1], scene[:, :, 1])


@dataclass
class Settings:
    """What `open_teachers` reads."""

    encoder: str = "tiny-clip"
    patch_encoder: str = "tiny-dino"
    teachers: tuple[str, ...] = ("files",)
    features: Path | None = None
    feature_cache: Path | None = None
    feature_views: float = 1.0
    crops_scale_down: int = 1
    levels: tuple[int, ...] = ()


@pytest.fixture
def scene(tmp_path: Path) -> tuple[list[Path], Path]:
    folder = write_scene(tmp_path / "scene", views=6)
    return sorted((folder / "images").iterdir()), write_features(tmp_path / "features", folder)


@pytest.mark.parametrize(
    ("part", "used"), [(1.0, (0, 1, 2, 3, 4, 5)), (0.5, (0, 2, 5)), (1e-6, (0,))], ids=["all", "half", "one"]
)
def test_part_of_the_views_is_spread_evenly(part: float, used: tuple[int, ...], scene) -> None:
    images, features = scene
    opened = open_teachers(Settings(features=features, feature_views=part), images, "cpu")
    assert opened.used_views == used and opened.used_levels == (0, 1)
    assert len(opened.text_store) == 6 and opened.patch_store is None


def test_chosen_levels_are_kept(scene) -> None:
    images, features = scene
    assert open_teachers(Settings(features=features, levels=(1,)), images, "cpu").used_levels == (1,)


@pytest.mark.parametrize(("teacher", "options"), [("clip-crops", {"scale_down": 8}), ("clip-dense", {})])
def test_windows_alone_are_cut_from_the_shrunk_photographs(
    teacher: str, options: dict, scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(module, "build_teacher", lambda *_, **options: asked.append(options))
    monkeypatch.setattr(module, "extract_features", lambda *_, **__: make_store(tmp_path, "text", 6))
    open_teachers(Settings(teachers=(teacher,), crops_scale_down=8), scene[0], "cpu")
    assert asked == [options]


def test_files_and_patch_encoder_go_together(scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, features = scene
    patch = make_store(tmp_path, "patch", 6, replace(META, teacher="dino", levels=("tokens",)))
    asked = []
    monkeypatch.setattr(module, "build_teacher", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(module, "extract_features", lambda *_, **__: patch)
    opened = open_teachers(Settings(teachers=("files", "dino"), features=features), images, "cpu")
    assert opened.patch_store is patch and opened.text_store.meta.teacher == "labels"
    assert asked == [("dino", "tiny-clip", "tiny-dino", "cpu")]


def test_files_without_a_folder_are_refused(scene) -> None:
    with pytest.raises(UserError, match="--features"):
        open_teachers(Settings(), scene[0], "cpu")


@pytest.mark.parametrize("teachers", [(), ("files", "files")])
def test_one_teacher_must_know_words(teachers: tuple[str, ...], scene) -> None:
    with pytest.raises(UserError, match="exactly one"):
        open_teachers(Settings(teachers=teachers, features=scene[1]), scene[0], "cpu")
