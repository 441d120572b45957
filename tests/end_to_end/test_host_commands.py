"""`ns-eval` and `ns-render` on a run of ours."""

import json
from pathlib import Path

import numpy as np
import pytest
from nerfstudio.scripts.eval import ComputePSNR
from nerfstudio.scripts.render import DatasetRender, RenderCameraPath, RenderInterpolated, SpiralRender
from PIL import Image

from ovs3d.evaluation.protocols import evaluate
from ovs3d.export.video import read_frames
from ovs3d.scene import Scene
from tests.end_to_end.box_scene import CLASSES, HEIGHT, WIDTH
from tests.end_to_end.camera_path import write_camera_path

OUTPUTS = ["rgb", "segmentation"]


def test_ns_eval_gives_the_numbers_of_ours(run: Path, scene: Scene, tmp_path: Path) -> None:
    ComputePSNR(load_config=run / "config.yml", output_path=tmp_path / "eval.json").main()
    results = json.loads((tmp_path / "eval.json").read_text())["results"]
    ours = evaluate(scene)
    assert results["psnr"] == pytest.approx(ours["psnr"], abs=1e-3)
    assert results["ssim"] == pytest.approx(ours["ssim"], abs=1e-4)
    assert results["miou"] == pytest.approx(ours["segmentation"]["miou"], abs=1e-6)
    assert results["miou_paper"] == pytest.approx(ours["paper"]["miou_paper"], abs=1e-6)
    for name in CLASSES:
        assert results[f"iou/{name}"] == pytest.approx(ours["segmentation"]["iou"][name], abs=1e-6)


def test_ns_render_dataset_writes_class_colours(run: Path, scene: Scene, tmp_path: Path) -> None:
    DatasetRender(
        load_config=run / "config.yml", output_path=tmp_path, image_format="png", rendered_output_names=OUTPUTS
    ).main()
    for name in OUTPUTS:
        assert sorted(path.name for path in (tmp_path / "test" / name).iterdir()) == ["view_00.png", "view_08.png"]
    written = np.asarray(Image.open(tmp_path / "test" / "segmentation" / "view_00.png"), np.float32) / 255.0
    labels = scene.segment(scene.held_out_outputs.cameras[0:1]).labels
    np.testing.assert_allclose(written, scene.model.colours[labels].numpy(), atol=1.5 / 255.0)


def test_ns_render_dataset_gives_all_outputs_by_default(run: Path, tmp_path: Path) -> None:
    DatasetRender(load_config=run / "config.yml", output_path=tmp_path, split="train+test").main()
    for split, count in (("train", 10), ("test", 2)):
        written = {path.name: len(list(path.iterdir())) for path in (tmp_path / split).iterdir()}
        assert {"gt-rgb", "rgb", "depth", "accumulation", "segmentation"} <= set(written)
        assert set(written.values()) == {count}


def test_ns_render_interpolate_and_spiral_write_videos(run: Path, tmp_path: Path) -> None:
    config = run / "config.yml"
    RenderInterpolated(
        load_config=config, output_path=tmp_path / "between.mp4", rendered_output_names=OUTPUTS, interpolation_steps=3
    ).main()
    SpiralRender(
        load_config=config, output_path=tmp_path / "spiral.mp4", rendered_output_names=OUTPUTS, seconds=0.2,
        frame_rate=10,
    ).main()  # fmt: skip
    for name in ("between.mp4", "spiral.mp4"):
        frames = read_frames(tmp_path / name)
        assert len(frames) >= 2 and frames.shape[1:] == (HEIGHT, 2 * WIDTH, 3)


def test_ns_render_camera_path(run: Path, tmp_path: Path) -> None:
    path = write_camera_path(tmp_path / "path.json", frames=3)
    RenderCameraPath(
        load_config=run / "config.yml", camera_path_filename=path, output_path=tmp_path / "path.mp4",
        rendered_output_names=OUTPUTS,
    ).main()  # fmt: skip
    assert len(read_frames(tmp_path / "path.mp4")) == 3
