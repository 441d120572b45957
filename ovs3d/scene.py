"""A trained run, opened for use: no training state, no teacher, CPU or CUDA."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.scene_box import SceneBox
from PIL import Image
from torch import Tensor

from ovs3d.cli.runs import find_run
from ovs3d.data.distances import sensor_distance
from ovs3d.data.labels import load_label_map
from ovs3d.errors import UserError
from ovs3d.field.backbones import check_backbone
from ovs3d.model import ExtraOutput, OVS3DModel
from ovs3d.preflight import latest_checkpoint
from ovs3d.safe_yaml import load_config
from ovs3d.spaces import TextEncoder
from ovs3d.teachers.text import embed_prompts, text_encoder
from ovs3d.trainer import OVS3DTrainerConfig


@dataclass(frozen=True)
class Segmentation:
    """What the field shows from one camera."""

    labels: Int[Tensor, "h w"]
    """Index of the best class."""
    scores: Float[Tensor, "h w classes"] | None
    """Relevancy of every class, a cosine in [-1, 1]; None where it was not asked for."""
    rgb: Float[Tensor, "h w 3"]
    """Rendered colour in [0, 1]."""
    depth: Float[Tensor, "h w"]
    """Distance along the ray, in scene units."""
    classes: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """A photograph of the data with its camera."""

    name: str
    camera: Cameras
    photo: Float[Tensor, "h w 3"]
    labels: Int[Tensor, "h w"] | None
    """Exact labels, -1 = ignore, or None where the data has none."""
    distance: Float[Tensor, "h w"] | None = None
    """Distance along the ray in scene units by the data's depth map, 0 = unknown, or None where the data has none."""


class Scene:
    """A radiance field whose points carry language.

    Attributes:
        config: of the run.
        model: in evaluation mode, on its device.
        classes: names of the classes it was trained for.
    """

    def __init__(self, config: OVS3DTrainerConfig, model: OVS3DModel) -> None:
        self.config, self.model = config, model
        self.classes = config.pipeline.model.classes
        self._looked: tuple[bytes, Tensor, Tensor] | None = None

    @classmethod
    def load(cls, run: str | Path, device: str | torch.device = "cpu", data: Path | None = None) -> "Scene":
        """Opens a run.

        Args:
            run: the run folder or its `config.yml`.
            device: where to render.
            data: where the photographs lie now, if they have moved since training.

        Raises:
            UserError: there is no run, it is of another method, or its backbone cannot run on `device`.
        """
        path = find_run(Path(run))
        config = load_config(path)
        if not isinstance(config, OVS3DTrainerConfig):
            raise UserError(f"{path} is a run of {config.method_name}, not of ovs3d; give a run of ovs3d.")
        check_backbone(config.pipeline.model.backbone, device)
        if data is not None:
            config.pipeline.datamanager.data = data
        box = SceneBox(torch.tensor([[-1.0] * 3, [1.0] * 3]))
        model = OVS3DModel(config.pipeline.model, scene_box=box, num_train_data=0)
        checkpoint = torch.load(latest_checkpoint(path), map_location="cpu", weights_only=True)
        state = {name.removeprefix("_model.").removeprefix("module."): x for name, x in checkpoint["pipeline"].items()}
        model.load_state_dict({name: x for name, x in state.items() if name in model.state_dict()})
        model.update_to_step(checkpoint["step"])
        return cls(config, model.to(device).eval())

    @cached_property
    def train_outputs(self) -> DataparserOutputs:
        """Photographs and cameras that the run was trained on."""
        return self._outputs("train")

    @cached_property
    def held_out_outputs(self) -> DataparserOutputs:
        """Photographs and cameras that no part of training has seen."""
        return self._outputs("test")

    def _outputs(self, split: str) -> DataparserOutputs:
        manager = self.config.pipeline.datamanager
        parser = manager.dataparser
        if manager.data is not None:
            parser.data = manager.data
        return parser.setup().get_dataparser_outputs(split=split)

    def held_out(self) -> Iterator[View]:
        """The held-out views, with labels where the data has them."""
        outputs = self.held_out_outputs
        label_paths = outputs.metadata.get("label_paths") or [None] * len(outputs.image_filenames)
        for index, path in enumerate(outputs.image_filenames):
            photo = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255.0
            labels = None
            if label_paths[index] is not None:
                size = (photo.shape[0], photo.shape[1])
                labels = load_label_map(label_paths[index], outputs.metadata["label_names"], self.classes, size)
            yield View(
                name=Path(path).stem,
                camera=outputs.cameras[index : index + 1],
                photo=torch.from_numpy(photo),
                labels=None if labels is None else torch.from_numpy(labels),
                distance=known_distance(outputs, index),
            )

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """What the words of the run were embedded with, loaded when a word is asked for first.

        Raises:
            UserError: it cannot be had, or embeds the run's own classes otherwise than when the run was trained.
        """
        encoder = text_encoder(self.config.pipeline.datamanager)
        now = embed_prompts(encoder, self.config.pipeline.prompts)
        trained = self.model.text.cpu()
        if now.shape != trained.shape or not torch.allclose(now, trained, atol=1e-2):
            raise UserError(
                f"The encoder {self.config.encoder} embeds the classes of this run otherwise than when it was trained, "
                "so that its words cannot be compared: use the encoder of that time, or train again."
            )
        return encoder

    def segment(self, camera: Cameras, with_scores: bool = True) -> Segmentation:
        """Renders the classes as seen from one camera (a `Cameras` of length 1).

        Raises:
            UserError: the run has only trained its geometry so far.
        """
        outputs = self._render(camera, "class_scores") if with_scores else self._render(camera)
        return Segmentation(
            labels=outputs["class_id"][..., 0].long().cpu(),
            scores=outputs["class_scores"].cpu() if with_scores else None,
            rgb=outputs["rgb"].clamp(0.0, 1.0).cpu(),
            depth=outputs["depth"][..., 0].cpu(),
            classes=self.classes,
        )

    @torch.no_grad()
    def relevancy(self, words: Sequence[str], camera: Cameras) -> Float[Tensor, "h w words"]:
        """Relevancy of any words as seen from one camera, cosines in [-1, 1]; no class list is needed.

        What the view asked last needs for further words is kept, 128 numbers a pixel; they cost no rendering.

        Raises:
            UserError: the run has only trained its geometry so far, or no word is given, or its vocabulary lacks one.
        """
        self._require_semantics()
        if isinstance(words, str) or len(words) == 0:
            raise UserError(f"Words are asked as a list of at least one, not as {words!r}.")
        text = embed_prompts(self.text_encoder, [(word,) for word in words]).to(self.model.device)
        key = fingerprint(camera)
        if self._looked is None or self._looked[0] != key:
            self._looked = None  # Two views at a time would take twice the memory.
            outputs = self._render(camera, "hidden")
            self._looked = key, outputs["hidden"], outputs["inverse_lengths"]
        _, hidden, inverse_lengths = self._looked
        return (self.model.semantic.products(hidden, text) * inverse_lengths).cpu()

    def _require_semantics(self) -> None:
        if not self.model.has_semantics:
            raise UserError("This run stopped in its geometry stage; resume it with ns-train --load-dir.")

    @torch.no_grad()
    def _render(self, camera: Cameras, *extra_outputs: ExtraOutput) -> dict[str, Tensor]:
        self._require_semantics()
        self.model.extra_outputs = extra_outputs
        try:
            return self.model.get_outputs_for_camera(camera.to(self.model.device))
        finally:
            self.model.extra_outputs = ()


def known_distance(outputs: DataparserOutputs, view: int) -> Float[Tensor, "h w"] | None:
    """What the depth map of a view says, if the data has one."""
    if "depth_filenames" not in outputs.metadata:
        return None
    camera, path = outputs.cameras[view], outputs.metadata["depth_filenames"][view]
    unit = outputs.metadata["depth_unit_scale_factor"] * outputs.dataparser_scale
    return sensor_distance(Path(path), camera, unit, (int(camera.height), int(camera.width)))


def fingerprint(camera: Cameras) -> bytes:
    """Equal for cameras that see the same."""
    fields = (camera.camera_to_worlds, camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height,
              camera.camera_type, camera.distortion_params)  # fmt: skip
    return b"|".join(b"" if each is None else each.cpu().numpy().tobytes() for each in fields)
