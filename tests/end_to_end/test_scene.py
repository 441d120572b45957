"""A trained run, opened: what is rendered from it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ovs3d.data.labels import load_label_map
from ovs3d.errors import UserError
from ovs3d.evaluation.protocols import evaluate
from ovs3d.scene import Scene
from tests.end_to_end.box_scene import CLASSES, HEIGHT, WIDTH
from tests.end_to_end.runs import small_config, train


def test_segmentation_of_a_camera(scene: Scene) -> None:
    assert scene.classes == CLASSES
    result = scene.segment(scene.held_out_outputs.cameras[0:1])
    assert result.labels.shape == result.depth.shape == (HEIGHT, WIDTH)
    assert result.scores is not None
    assert result.scores.shape == (HEIGHT, WIDTH, len(CLASSES)) and result.rgb.shape == (HEIGHT, WIDTH, 3)
    assert torch.equal(result.scores.argmax(dim=-1), result.labels)
    assert result.scores.abs().max() <= 1.0 + 1e-5
    assert result.rgb.min() >= 0.0 and result.rgb.max() <= 1.0 and result.depth.min() > 0.0


def test_view_rendered_twice_is_identical(scene: Scene) -> None:
    camera = scene.train_outputs.cameras[3:4]
    first, second = scene.segment(camera), scene.segment(camera)
    for name in ("labels", "scores", "rgb", "depth"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name


def test_size_of_a_chunk_changes_nothing(scene: Scene, run: Path) -> None:
    other = Scene.load(run)
    other.model.config.eval_num_rays_per_chunk = 700  # Not a divisor of the number of pixels.
    camera = scene.held_out_outputs.cameras[1:2]
    torch.testing.assert_close(other.segment(camera).scores, scene.segment(camera).scores, atol=1e-5, rtol=0.0)


def test_depth_is_the_distance_to_the_room(scene: Scene) -> None:
    # The cameras' greatest coordinate is scaled to 1 and lies on a ring; nothing is further off than the room's corner.
    result = scene.segment(scene.held_out_outputs.cameras[0:1])
    assert 0.2 < result.depth.median().item() < 6.0


def test_held_out_views_carry_their_own_photograph_and_labels(scene: Scene, scene_folder: Path) -> None:
    views = list(scene.held_out())
    assert [view.name for view in views] == ["view_00", "view_08"]
    trained_on = {Path(path).stem for path in scene.train_outputs.image_filenames}
    assert trained_on.isdisjoint(view.name for view in views) and len(trained_on) == 10
    expected = load_label_map(scene_folder / "labels" / "view_08.png", CLASSES, CLASSES, (HEIGHT, WIDTH))
    assert views[1].labels is not None and expected is not None
    assert torch.equal(views[1].labels, torch.from_numpy(expected))


def test_data_that_moved_is_found_and_may_lack_labels(run: Path, scene_folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(scene_folder, tmp_path / "elsewhere")
    shutil.rmtree(moved / "labels")
    scene = Scene.load(run, data=moved)
    assert all(moved in Path(path).parents for path in scene.train_outputs.image_filenames)
    results = evaluate(scene)
    assert results["segmentation"] is None and results["paper"] is None and results["psnr"] > 15.0


def test_run_that_never_reached_its_semantics_says_so(
    scene_folder: Path, features_folder: Path, tmp_path: Path
) -> None:
    config = small_config(scene_folder, features_folder, tmp_path, steps=(2, 2))
    train(config)
    scene = Scene.load(config.get_base_dir())
    with pytest.raises(UserError, match="geometry"):
        scene.segment(scene.train_outputs.cameras[0:1])


def test_labels_are_painted_where_the_boxes_are(scene: Scene, scene_folder: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    evaluate(scene, figures=tmp_path / "figures", masks=masks)
    predicted = Image.open(masks / "view_00.png")
    assert predicted.mode == "L" and predicted.size == (WIDTH, HEIGHT)
    assert len(np.unique(np.asarray(predicted))) == len(CLASSES)
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["view_00.png", "view_08.png"]
