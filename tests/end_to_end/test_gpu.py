"""What a GPU changes: it trains, and what it has trained opens on a CPU."""

from pathlib import Path

import pytest
import torch

from ovs3d.scene import Scene
from tests.end_to_end.runs import small_config, train

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")]


def test_run_of_a_gpu_shows_the_same_on_a_cpu(scene_folder: Path, features_folder: Path, tmp_path: Path) -> None:
    config = small_config(scene_folder, features_folder, tmp_path)
    config.machine.device_type = "cuda"
    train(config)
    shown = [Scene.load(config.get_base_dir(), device) for device in ("cuda", "cpu")]
    camera = shown[0].held_out_outputs.cameras[0:1]
    on_gpu, on_cpu = (scene.segment(camera) for scene in shown)
    torch.testing.assert_close(on_gpu.rgb, on_cpu.rgb, atol=0.02, rtol=0.0)
    assert (on_gpu.labels == on_cpu.labels).float().mean() > 0.98
