"""The scenes of 3D-OVS: their configurations and masks."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ovs3d.benchmarks.ovs import check_labelled_views, read_masks, read_scene_configs
from ovs3d.benchmarks.plan import Plan
from ovs3d.benchmarks.published import OVS_MEAN
from ovs3d.config import ovs3d_paper_method
from ovs3d.errors import UserError
from tests.data.scene_writer import write_masks

FLAG = "--pipeline.model.loss-weights."


def test_ten_scenes_are_ready_and_their_flags_exist() -> None:
    scenes = {scene.name: scene for scene in read_scene_configs(Path("configs/3d-ovs"))}
    assert len(scenes) == 10 and set(OVS_MEAN) < set(scenes)
    weights = ovs3d_paper_method.config.pipeline.model.loss_weights  # pyright: ignore[reportAttributeAccessIssue]
    for scene in scenes.values():
        assert len(scene.views) == 5 and list(scene.views) == sorted(scene.views)
        assert set(scene.flags) == {"ovs3d-paper"}, "no other method is tuned to a scene"
        for name in scene.flags["ovs3d-paper"][::2]:
            assert name.startswith(FLAG) and hasattr(weights, name.removeprefix(FLAG).replace("-", "_"))
    assert scenes["sofa"].flags["ovs3d-paper"] == (f"{FLAG}fda-negative", "0.2")


@pytest.mark.parametrize(
    "content", ["views: [1, 2]", "[]", "views: [a]\nflags: {}", "flags: {ovs3d: 3}\nviews: []", "{"]
)
def test_bad_configurations_are_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "bed.yaml").write_text(content)
    with pytest.raises(UserError, match=r"bed\.yaml is no scene"):
        read_scene_configs(tmp_path)
    with pytest.raises(UserError, match="--configs"):
        read_scene_configs(tmp_path / "nowhere")


def test_masks_are_shrunk_to_the_nearest_pixel_and_may_overlap(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    masks = {name: generator.random((32, 48)) < 0.5 for name in ("Wood", "grass")}
    write_masks(tmp_path, {3: masks}, ["Wood", "grass", "sky"])
    folder = tmp_path / "segmentations" / "03"
    faint = np.where(masks["grass"], 254, 0).astype(np.uint8)
    faint[12, 20] = 255
    Image.fromarray(faint).save(folder / "grass.png")
    found = read_masks(folder, ("grass", "sky", "wood"), (4, 6))
    # Pixel (i, j) of an eighth shows the pixel right of and below its centre.
    np.testing.assert_array_equal(found[2], masks["Wood"][4::8, 4::8])
    assert found[0, 1, 2] and found[0].sum() == 1, "254 is outside"
    assert not found[1].any(), "a mask that is not there is empty"


def test_scenes_without_labels_are_refused_and_other_views_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UserError, match="segmentations has no folder"):
        check_labelled_views(tmp_path, (1,))
    write_masks(tmp_path, {1: {"wood": np.ones((8, 8), bool)}, 4: {"wood": np.ones((8, 8), bool)}}, ["wood"])
    with caplog.at_level(logging.INFO, logger="ovs3d"):
        check_labelled_views(tmp_path, (1, 4))
        assert caplog.text == ""
        check_labelled_views(tmp_path, (1, 5))
    assert "[1, 4] are labelled, published are [1, 5]" in caplog.text


def test_missing_scenes_are_skipped_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan = Plan("3d-ovs", tmp_path, tmp_path / "out", "ovs3d", "paper", 0, ("--a", "b"))
    with pytest.raises(UserError, match="none of the folders bed, sofa"):
        plan.found(["bed", "sofa"])
    (tmp_path / "sofa").mkdir()
    with caplog.at_level(logging.INFO, logger="ovs3d"):
        assert plan.found(["bed", "sofa"]) == ["sofa"]
    assert "Skipped" in caplog.text and "bed" in caplog.text
    assert plan.command == f"ovs3d bench 3d-ovs --data {tmp_path} --protocol paper --method ovs3d --seed 0 -- --a b"
