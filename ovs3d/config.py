"""The methods that `ns-train` offers: `ovs3d`, `ovs3d-tiny` and `ovs3d-paper`."""

from dataclasses import replace
from typing import Literal

from nerfstudio.configs.base_config import MachineConfig, ViewerConfig
from nerfstudio.plugins.types import MethodSpecification

from ovs3d.data.datamanager import OVS3DDataManagerConfig
from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.ffmpeg import ensure_ffmpeg
from ovs3d.model_config import LossWeights, OVS3DModelConfig
from ovs3d.optimizers import FusedAdamConfig
from ovs3d.pipeline import OVS3DPipelineConfig
from ovs3d.schedulers import StageSchedulerConfig
from ovs3d.trainer import OVS3DTrainerConfig
from ovs3d.viewer.host import HERE, listen_here

# Every host command imports this module.
ensure_ffmpeg()  # ns-render needs the program.
listen_here()


def optimizers(geometry_rate: float = 1.0) -> dict:
    """Fused Adam and a stage schedule for every group; `geometry_rate` scales the initial rates of the geometry's."""
    rates = {
        "proposal": 0.1 * geometry_rate,
        "planes": 0.1 * geometry_rate,
        "texture": 0.02 * geometry_rate,
        "networks": 0.01 * geometry_rate,
        "semantic_planes": 0.02,
        "semantic_heads": 0.004,
    }
    return {
        name: {
            "optimizer": FusedAdamConfig(lr=rate, eps=1e-12),
            "scheduler": StageSchedulerConfig(final=0.02 if name.startswith("semantic") else 0.07),
        }
        for name, rate in rates.items()
    }


def base() -> OVS3DTrainerConfig:
    """`ovs3d`: full size, real encoders, made for one GPU."""
    return OVS3DTrainerConfig(
        method_name="ovs3d",
        machine=MachineConfig(device_type=best_device(), seed=0),
        steps_per_save=2000,
        steps_per_eval_batch=1_000_000,
        steps_per_eval_image=1000,
        steps_per_eval_all_images=1000,
        max_num_iterations=15_000,
        geometry_steps=10_000,
        mixed_precision=False,
        pipeline=OVS3DPipelineConfig(
            datamanager=OVS3DDataManagerConfig(
                dataparser=OVS3DDataParserConfig(), train_num_rays_per_batch=4096, eval_num_rays_per_batch=1024
            ),
            model=OVS3DModelConfig(),
        ),
        optimizers=optimizers(),
        viewer=ViewerConfig(num_rays_per_chunk=1 << 14, websocket_host=HERE),
        vis="viewer+tensorboard",
    )


def best_device() -> Literal["cpu", "cuda"]:
    """cuda where there is one, else cpu."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def tiny() -> OVS3DTrainerConfig:
    """`ovs3d-tiny`: the same model with sizes for two CPU cores."""
    config = base()
    config.method_name = "ovs3d-tiny"
    config.max_num_iterations, config.geometry_steps = 3000, 2400
    config.steps_per_eval_image = config.steps_per_eval_all_images = 500
    manager, model = config.pipeline.datamanager, config.pipeline.model
    manager.train_num_rays_per_batch = 2048
    config.optimizers = optimizers(geometry_rate=1.4)  # Few steps of many rays: a second core is idle in small ones.
    manager.semantic_rays, manager.patches, manager.patch_side = 2048, 2, 24
    manager.table_rays = 500_000
    model.plane_resolutions, model.plane_channels = (32, 64, 256), 8
    model.texture_resolutions, model.texture_log2_size = (256, 512, 1024), 18
    model.proposal_samples, model.field_samples = 48, 16
    model.coloured_samples, model.kept_samples = 8, 3
    model.eval_num_rays_per_chunk = 2048  # What is in between fits into a processor's cache.
    return config


def paper() -> OVS3DTrainerConfig:
    """`ovs3d-paper`: the authors' constants and choices where the architecture allows them."""
    config = base()
    config.method_name = "ovs3d-paper"
    config.teachers = ("clip-crops", "dino")
    config.encoder, config.dino = "ViT-B-16:openai", "vit_base_patch8_224_dino"
    manager, model = config.pipeline.datamanager, config.pipeline.model
    config.max_num_iterations = config.geometry_steps + 15_000
    manager.feature_views, manager.crops_scale_down = 0.5, 8
    model.normalisation = "view"
    model.latent_resolutions = (64, 128, 256)
    model.rda_normalise = False
    model.rendered_temperature = model.selected_temperature = 1.0
    model.fda_temperature, model.selection_sharpness, model.fda_pairs = 0.2, 1.0, None
    model.loss_weights = replace(LossWeights(), patch_feature=0.0, selection=0.0, fda_positive=200.0, fda_negative=0.2)
    return config


ovs3d_method = MethodSpecification(base(), description="Open-vocabulary 3D segmentation from photographs and words.")
ovs3d_tiny_method = MethodSpecification(tiny(), description="ovs3d with sizes for two CPU cores.")
ovs3d_paper_method = MethodSpecification(paper(), description="ovs3d with the constants and choices of 3D-OVS.")
