"""The host's pipeline with what lies between the stages, and mIoU in `ns-eval`."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float, Int
from nerfstudio.pipelines.base_pipeline import VanillaPipeline, VanillaPipelineConfig
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from ovs3d.data.datamanager import OVS3DDataManager, OVS3DDataManagerConfig
from ovs3d.data.distances import ViewDistances
from ovs3d.errors import ending_the_program
from ovs3d.evaluation.lattice import render_lattice
from ovs3d.evaluation.metrics import ConfusionMatrix, PaperScore, PhotoScore, psnr, visible
from ovs3d.field.samples import KeptSamples, SampleTable, build_table
from ovs3d.model import OVS3DModel
from ovs3d.model_config import OVS3DModelConfig
from ovs3d.viewer.panel import Panel

LATTICE_STEP = 8
"""While training, held-out views are scored at every so many rows and columns: one pixel in 64."""


@dataclass
class OVS3DPipelineConfig(VanillaPipelineConfig):
    """Configuration of the pipeline."""

    _target: type = field(default_factory=lambda: OVS3DPipeline)
    datamanager: OVS3DDataManagerConfig = field(default_factory=OVS3DDataManagerConfig)  # pyright: ignore[reportIncompatibleVariableOverride]
    model: OVS3DModelConfig = field(default_factory=OVS3DModelConfig)  # pyright: ignore[reportIncompatibleVariableOverride]
    prompts: tuple[tuple[str, ...], ...] = ()
    """Texts of every class, averaged; set by the top-level --classes."""
    seed: int = 0
    """Of the sample table; set from the machine's seed."""

    def setup(self, **kwargs: Any) -> Any:
        """Host's set-up of the pipeline, by which all its commands open a run."""
        with ending_the_program():
            return super().setup(**kwargs)


class OVS3DPipeline(VanillaPipeline):
    """Starts the semantic stage when its step comes, and averages mIoU over all held-out views."""

    config: OVS3DPipelineConfig
    datamanager: OVS3DDataManager  # pyright: ignore[reportIncompatibleVariableOverride]
    model: OVS3DModel  # pyright: ignore[reportIncompatibleMethodOverride]

    def __init__(self, config: OVS3DPipelineConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self.panel = Panel(self)

    def get_train_loss_dict(self, step: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Host's step; the first one of the semantic stage freezes geometry and draws the sample table."""
        if self.model.in_semantics and self.datamanager.samples is None:
            self.start_semantics()
        wanted = self.model.distance_weight > 0.0
        if wanted and self.datamanager.distances is None:
            self.find_distances()
        elif not wanted:
            self.datamanager.distances = None
        return super().get_train_loss_dict(step)

    def find_distances(self) -> None:
        """Matches the photographs with one another, so that early geometry does not close what is open."""
        sensor = self.config.datamanager.sensor_depth
        find = ViewDistances.of_sensor if sensor else ViewDistances.of_sweep
        distances = self.datamanager.distances = find(self.datamanager.train_dataset)
        source = "Depth maps" if sensor else "Plane sweep"
        CONSOLE.log(f"{source}: distances of {distances.known:.0%} of the pixels are known")

    @torch.no_grad()
    def start_semantics(self) -> None:
        """Embeds the classes, finds the relevancy ranges and renders the sample table."""
        from ovs3d.teachers.text import embed_classes

        model, bank = self.model, self.datamanager.bank
        assert bank is not None
        text = embed_classes(self.config.datamanager, self.config.prompts, bank.text_store.meta.space)
        model.text.copy_(text)
        model.relevancy_range = bank.relevancy_range(text, model.config.normalisation).to(model.device)
        CONSOLE.log("Geometry is frozen; caching the samples of the training rays")
        self.model.eval()
        self.datamanager.start_semantics(self.draw_table)
        self.model.train()

    def draw_table(self, lattice: tuple[int, int], random_rays: int) -> SampleTable:
        """The sample table of the training views."""

        def sample_rays(views: Int[Tensor, " rays"], uv: Float[Tensor, "rays 2"]) -> KeptSamples:
            return self.model.heaviest(self.datamanager.rays_at(views, uv))

        generator = torch.Generator().manual_seed(self.config.seed)
        return build_table(sample_rays, len(self.datamanager.train_dataset), random_rays, lattice, generator)

    def get_average_eval_image_metrics(
        self, step: int | None = None, output_path: Path | None = None, get_std: bool = False
    ) -> dict[str, Any]:
        """Host's averages, and segmentation scores over all held-out pixels together where there are labels.

        The trainer, who alone names a `step`, gets PSNR and the scores from a lattice of pixels, in seconds. What could
        not be measured, such as the IoU of a class that no held-out view shows, is left out.
        """
        model = self.model
        model.confusion, model.paper_score = ConfusionMatrix(model.config.classes), PaperScore(model.config.classes)
        model.photo_score = PhotoScore()
        if step is None:
            metrics = super().get_average_eval_image_metrics(step, output_path, get_std)
            metrics.update(model.photo_score.summary())  # The host's means count views that are masked altogether.
        else:
            metrics = {"psnr": self.lattice_psnr()}
        if int(model.confusion.counts.sum()) > 0:
            metrics.update(flat_scores(model.confusion.summary()))
            metrics.update(model.paper_score.summary())
        return {name: value for name, value in metrics.items() if math.isfinite(value)}

    def lattice_psnr(self) -> float:
        """PSNR at every `LATTICE_STEP`-th row and column of the held-out views; counts the labels there."""
        model, values = self.model, []
        self.eval()
        for outputs, item in render_lattice(model, self.datamanager.eval_dataset, LATTICE_STEP):
            mask = visible(item)
            if mask is None or mask.any():
                values.append(psnr(outputs["rgb"].clamp(0.0, 1.0), item["image"], mask))
            if "class_id" in outputs and "labels" in item:
                model.count(outputs["class_id"][..., 0].long().cpu(), item["labels"].cpu())
        self.train()
        return fmean(values) if values else math.nan


def flat_scores(summary: dict[str, Any]) -> dict[str, float]:
    """The numbers of a confusion matrix's summary in one level, per-class IoU as `iou/<class>`."""
    flat = {name: value for name, value in summary.items() if isinstance(value, float)}
    flat.update({f"iou/{name}": value for name, value in summary["iou"].items() if isinstance(value, float)})
    return flat
