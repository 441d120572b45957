"""Small runs: `ovs3d-tiny` with sizes that train in seconds."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from nerfstudio.scripts.train import main
from nerfstudio.utils import writer

from ovs3d.checkpoints import latest_checkpoint
from ovs3d.config import ovs3d_tiny_method
from ovs3d.trainer import OVS3DTrainerConfig

GEOMETRY_STEPS, STEPS = 1000, 1300
"""Of a run whose answers are tested; with 500 steps in all, one seed in eight mistook a quarter of the pixels."""
LOGGED_STEPS = (12, 21)
"""(geometry, in all) of runs whose logs are read: the host logs every tenth step, and these end on one."""


def small_config(
    data: Path, features: Path | None, output_dir: Path, steps: tuple[int, int] = (GEOMETRY_STEPS, STEPS), seed: int = 0
) -> OVS3DTrainerConfig:
    """A run of `steps` = (geometry, in all) that writes to `output_dir`/boxes/ovs3d-tiny/run."""
    base = ovs3d_tiny_method.config
    assert isinstance(base, OVS3DTrainerConfig)
    config = deepcopy(base)
    config.data, config.features, config.output_dir = data, features, output_dir
    config.experiment_name, config.timestamp, config.vis = "boxes", "run", "tensorboard"
    config.machine.device_type, config.machine.seed = "cpu", seed
    config.geometry_steps, config.max_num_iterations = steps
    config.steps_per_save, config.steps_per_eval_image = GEOMETRY_STEPS, 1_000_000
    manager, model = config.pipeline.datamanager, config.pipeline.model
    manager.train_num_rays_per_batch, manager.semantic_rays, manager.table_rays = 512, 512, 20_000
    model.proposal_resolution, model.proposal_samples, model.field_samples = 32, 32, 16
    model.plane_resolutions, model.plane_channels, model.hidden_dim = (16, 64), 8, 32
    model.texture_resolutions, model.texture_log2_size = (64, 256), 14
    model.latent_channels, model.head_dim, model.kept_samples = 8, 32, 6
    return config


def train(config: OVS3DTrainerConfig) -> None:
    """What `ns-train` does with a parsed configuration."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "EVENT_WRITERS", [])  # The host's are of the process, and would log every later run too.
        main(config)


def checkpoint(run: Path) -> dict[str, Any]:
    """The newest checkpoint of a run, loaded safely."""
    return torch.load(latest_checkpoint(run / "config.yml"), map_location="cpu", weights_only=True)
