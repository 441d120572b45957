"""Feeds both training stages: pixel rays and colours first, rows of the sample table and teacher features after."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.datamanagers.base_datamanager import (
    VanillaDataManager,
    VanillaDataManagerConfig,
    variable_res_collate,
)
from nerfstudio.data.dataparsers.base_dataparser import DataParserConfig
from torch import Tensor

from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.data.dataset import OVS3DDataset
from ovs3d.data.distances import ViewDistances
from ovs3d.data.photo_masks import PhotoMasks
from ovs3d.field.samples import SampleTable
from ovs3d.teachers.bank import TeacherBank, open_teachers
from ovs3d.teachers.batches import semantic_batch


@dataclass
class OVS3DDataManagerConfig(VanillaDataManagerConfig):
    """Rays for the geometry stage, cached samples with features for the semantic stage."""

    _target: type = field(default_factory=lambda: OVS3DDataManager)
    dataparser: DataParserConfig = field(default_factory=OVS3DDataParserConfig)
    """Reads the scene."""
    encoder: str = "ViT-B-16:laion2b_s34b_b88k"
    """Image-text encoder; set by the top-level --encoder."""
    patch_encoder: str = "vit_small_patch8_224_dino"
    """DINO-like encoder; set by the top-level --dino."""
    teachers: tuple[str, ...] = ("clip-dense", "dino")
    """What supervises the semantic stage; set by the top-level --teachers."""
    features: Path | None = None
    """Folder of features from files; set by the top-level --features."""
    templates: tuple[str, ...] = ()
    """Sentences with {} that every word is put into, averaged; set by the top-level --templates."""
    feature_cache: Path | None = None
    """Where extracted features are kept; by default OVS3D_CACHE or ~/.cache/ovs3d."""
    sensor_depth: bool = False
    """Guide early geometry by the depth maps of the data, not by what the photographs agree on."""
    feature_views: float = 1.0
    """Part of the training views whose image-text features are used, spread evenly; the authors use 0.5."""
    crops_scale_down: int = 1
    """Factor by which photographs shrink before `clip-crops` cuts its windows; the authors use 8."""
    levels: tuple[int, ...] = ()
    """Scales of the image-text teacher that supervise; all by default."""
    semantic_rays: int = 4096
    """Random rays per batch of the semantic stage."""
    patches: int = 8
    """Patches of neighbouring rays per batch of the semantic stage."""
    patch_side: int = 32
    """Tokens along a side of a patch, at most."""
    table_rays: int = 4_000_000
    """Rays kept in the sample table, at most."""


class OVS3DDataManager(VanillaDataManager[OVS3DDataset]):
    """Host's data manager with a second source of batches, used once `samples` is set."""

    config: OVS3DDataManagerConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    bank: TeacherBank | None = None
    samples: SampleTable | None = None
    distances: ViewDistances | None = None

    def create_train_dataset(self) -> OVS3DDataset:
        """Photographs alone: labels never reach training."""
        return OVS3DDataset(self.train_dataparser_outputs, self.config.camera_res_scale_factor)

    def create_eval_dataset(self) -> OVS3DDataset:
        """Held-out photographs with their labels, where there are any."""
        outputs = self.dataparser.get_dataparser_outputs(split=self.test_split)
        return OVS3DDataset(outputs, self.config.camera_res_scale_factor, with_labels=True)

    def setup_train(self) -> None:
        """Opens the teachers' features too when the run trains; other commands read rays alone."""
        photographs = self.train_dataset
        self.train_dataset = photographs.as_bytes()  # The host's loader, which keeps them all, takes it from here.
        super().setup_train()
        self.train_dataset = photographs
        if self.test_mode == "val":
            bank = open_teachers(self.config, self.teacher_images("train"), self.device)
            masks = self.train_dataparser_outputs.mask_filenames
            self.bank = bank if masks is None else replace(bank, masks=PhotoMasks(masks))

    def setup_eval(self) -> None:
        """Host's, also where held-out photographs differ in size; it looks at those of training alone."""
        cameras = self.eval_dataset.cameras
        sizes = torch.unique(torch.cat([cameras.width, cameras.height], dim=1), dim=0)
        if len(sizes) > 1 or self.config.collate_fn is variable_res_collate:
            self.config.collate_fn = collate_photographs
        super().setup_eval()

    def teacher_images(self, split: Literal["train", "test"]) -> list[Path]:
        """The full-size photographs of a split, in the order of its views."""
        dataset = self.train_dataset if split == "train" else self.eval_dataset
        return [Path(name) for name in dataset.metadata.get("full_size_filenames", dataset.image_filenames)]

    def rays_at(self, views: Int[Tensor, " rays"], uv: Float[Tensor, "rays 2"]) -> RayBundle:
        """World-space rays through places `uv` in [0, 1] of training views."""
        cameras = self.train_dataset.cameras
        width, height = cameras.width[views, 0], cameras.height[views, 0]
        coordinates = torch.stack([uv[:, 1] * height, uv[:, 0] * width], dim=-1)  # The host counts (row, column).
        rays = cameras.generate_rays(camera_indices=views[:, None], coords=coordinates)
        return rays.to(self.device)

    def start_semantics(
        self,
        build: Callable[[tuple[int, int], int], SampleTable],
    ) -> None:
        """Switches to the sample table, which `build(lattice, random_rays)` renders."""
        assert self.bank is not None, "the semantic stage needs the teachers' features"
        rows, columns = self.bank.lattice
        room = self.config.table_rays - rows * columns * len(self.train_dataset)
        pixels = int((self.train_dataset.cameras.width * self.train_dataset.cameras.height).sum())
        self.samples = build((rows, columns), max(min(room, pixels), self.config.semantic_rays))

    def next_train(self, step: int) -> tuple[RayBundle, dict]:
        """A batch of pixel rays, or of table rows once the semantic stage has begun."""
        if self.samples is None:
            rays, batch = super().next_train(step)
            batch["image"] = batch["image"].float() / 255.0
            if self.distances is not None:
                batch["distance"] = self.distances.at(batch["indices"])
            return rays, batch
        self.train_count += 1
        return self.next_semantics(self.samples)

    def next_semantics(self, table: SampleTable) -> tuple[RayBundle, dict]:
        """The bundle carries the samples, the batch the features."""
        assert self.bank is not None
        config = self.config
        samples, batch = semantic_batch(table, self.bank, config.semantic_rays, config.patches, config.patch_side)
        batch = {name: value.to(self.device) if torch.is_tensor(value) else value for name, value in batch.items()}
        nothing = torch.zeros(len(samples), 3)
        bundle = RayBundle(
            origins=nothing,
            directions=nothing,
            pixel_area=nothing[:, :1],
            metadata={"points": samples.points.flatten(1), "weights": samples.weights, "colours": samples.colours},
        )
        return bundle.to(self.device), batch

    def get_train_rays_per_batch(self) -> int:
        """Rays of a batch of the present stage."""
        if self.samples is None:
            return super().get_train_rays_per_batch()
        _, rows, columns = self.samples.lattice
        tokens = min(self.config.patch_side, rows) * min(self.config.patch_side, columns)
        return self.config.semantic_rays + self.config.patches * tokens


def collate_photographs(items: list[dict]) -> dict:
    """Host's collation of photographs of several sizes, without labels, from which it could draw no pixels."""
    return variable_res_collate([{name: value for name, value in item.items() if name != "labels"} for item in items])
