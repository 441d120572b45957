"""Training loops to compare: ours, and nerfacto of the host in its PyTorch implementation, on the same data."""

from copy import deepcopy
from pathlib import Path
from statistics import mean
from unittest import mock

import torch
from nerfstudio.configs.method_configs import method_configs
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManagerConfig
from nerfstudio.engine.callbacks import TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.engine.optimizers import Optimizers
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.pipelines.base_pipeline import Pipeline, VanillaPipelineConfig
from torch import Tensor, nn

from ovs3d.config import tiny
from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.evaluation.lattice import render_lattice
from ovs3d.evaluation.metrics import psnr
from ovs3d.trainer import OVS3DTrainerConfig

RAYS = 1024
WORDS = ("thing", "ground")
"""Not read by the geometry stage."""


class NoLpips(nn.Module):
    """In the place of nerfacto's LPIPS, which downloads weights and plays no part in training."""

    def __init__(self, **_: object) -> None:
        super().__init__()


class Loop:
    """A method's own training iteration, without the host's logging."""

    def __init__(self, config: TrainerConfig) -> None:
        torch.manual_seed(0)
        self.pipeline: Pipeline = config.pipeline.setup(device="cpu", test_mode="test", world_size=1, local_rank=0)
        self.pipeline.train()
        self.optimizers = Optimizers(config.optimizers.copy(), self.pipeline.get_param_groups())
        attributes = TrainingCallbackAttributes(self.optimizers, None, self.pipeline, None)
        self.callbacks = self.pipeline.get_training_callbacks(attributes)
        self.step = 0

    def iterate(self, count: int) -> None:
        """Trains for `count` iterations."""
        for _ in range(count):
            self._call(TrainingCallbackLocation.BEFORE_TRAIN_ITERATION)
            self.optimizers.zero_grad_all()
            _, losses, _ = self.pipeline.get_train_loss_dict(self.step)
            total = sum(losses.values())
            assert isinstance(total, Tensor)
            total.backward()
            for name in self.optimizers.optimizers:
                if any(p.grad is not None for p in self.optimizers.parameters[name]):
                    self.optimizers.optimizers[name].step()
            self.optimizers.scheduler_step_all(self.step)
            self._call(TrainingCallbackLocation.AFTER_TRAIN_ITERATION)
            self.step += 1

    def _call(self, location: TrainingCallbackLocation) -> None:
        for callback in self.callbacks:
            callback.run_callback_at_location(self.step, location)

    def held_out_psnr(self, every: int = 8) -> float:
        """Mean over held-out views, at every `every`-th row and column."""
        self.pipeline.eval()
        dataset = self.pipeline.datamanager.eval_dataset
        assert dataset is not None
        views = render_lattice(self.pipeline.model, dataset, every)
        values = [psnr(outputs["rgb"].clamp(0.0, 1.0), truth["image"]) for outputs, truth in views]
        self.pipeline.train()
        return mean(values)


def ours(data: Path, max_side: int) -> Loop:
    """The geometry stage of ovs3d-tiny."""
    return Loop(tiny_on(data, max_side))


def tiny_on(data: Path, max_side: int) -> OVS3DTrainerConfig:
    """`ovs3d-tiny` on a scene, with batches of the size that both methods get."""
    config = tiny()
    config.data, config.classes = data, WORDS
    config.encoder, config.dino = "tiny-clip", "tiny-dino"
    parser = config.pipeline.datamanager.dataparser
    assert isinstance(parser, OVS3DDataParserConfig)
    parser.max_side = max_side
    config.pipeline.datamanager.train_num_rays_per_batch = RAYS
    config.prepare()
    return config


def nerfacto(data: Path, max_side: int) -> Loop:
    """Nerfacto as the host configures it, but for its CUDA kernels."""
    config = deepcopy(method_configs["nerfacto"])
    assert isinstance(config, TrainerConfig)
    assert isinstance(config.pipeline, VanillaPipelineConfig)
    config.pipeline.datamanager = VanillaDataManagerConfig(
        dataparser=OVS3DDataParserConfig(data=data, classes=WORDS, max_side=max_side), train_num_rays_per_batch=RAYS
    )
    config.pipeline.model.implementation = "torch"  # pyright: ignore[reportAttributeAccessIssue]
    with mock.patch("torchmetrics.image.lpip.LearnedPerceptualImagePatchSimilarity", NoLpips):
        return Loop(config)
