"""A run, opened: its data, its words, and what its field shows from a camera."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from torch import Tensor

from ovs3d.checkpoints import build_model, latest_checkpoint, read_checkpoint
from ovs3d.errors import UserError
from ovs3d.field.backbones import check_backbone
from ovs3d.model import ExtraOutput, OVS3DModel
from ovs3d.pipeline import OVS3DPipeline
from ovs3d.run_folder import find_run
from ovs3d.safe_yaml import load_config
from ovs3d.spaces import TextEncoder
from ovs3d.teachers.text import embed_prompts, text_encoder
from ovs3d.trainer import OVS3DTrainerConfig
from ovs3d.views import Photograph, Segmentation, View, photograph_paths, photographs, read_views

EMPTY = 0.5
"""Opacity below which a ray of an edited scene shows nothing."""
PIXELS = 1 << 15
"""Pixels, or one row, whose features `feature_rows` gives at a time."""
Run = TypeVar("Run", bound="OpenedRun")


class OpenedRun:
    """No training state and no teacher, on CPU or CUDA.

    Attributes:
        config: of the run.
        model: in evaluation mode, unless it is being trained.
        classes: names of the classes that views are segmented into.
    """

    def __init__(self, config: OVS3DTrainerConfig, model: OVS3DModel) -> None:
        self.config, self.model = config, model
        self.classes = config.pipeline.model.classes
        self._looked: tuple[bytes, dict[str, Tensor]] | None = None

    @classmethod
    def load(cls: type[Run], run: str | Path, device: str | torch.device = "cpu", data: Path | None = None) -> Run:
        """Opens a run.

        Args:
            run: the run folder or its `config.yml`.
            device: where to render.
            data: where the photographs lie now, if they have moved since training.

        Raises:
            UserError: there is no run, it is of another method, its checkpoint is damaged, or its backbone cannot run
                on `device`.
        """
        path = find_run(Path(run))
        config = load_config(path)
        if not isinstance(config, OVS3DTrainerConfig):
            raise UserError(f"{path} is a run of {config.method_name}, not of ovs3d; give a run of ovs3d.")
        check_backbone(config.pipeline.model.backbone, device)
        if data is not None:
            config.pipeline.datamanager.data = data
        step, state = read_checkpoint(latest_checkpoint(path))
        model = build_model(config.pipeline.model)
        try:
            model.load_state_dict({name: x for name, x in state.items() if name in model.state_dict()})
        except RuntimeError as error:  # Its message is a list of sizes.
            raise UserError(
                f"{path} is of another version of ovs3d; keep its geometry and give it semantics anew: "
                f'ovs3d reclass {path.parent} --classes "..." "...".'
            ) from error
        model.update_to_step(step)
        return cls(config, model.to(device).eval())

    @classmethod
    def of(cls: type[Run], pipeline: OVS3DPipeline) -> Run:
        """The scene that a pipeline of the host has loaded or is training; the model is shared, in its present mode."""
        encoder = pipeline.config.datamanager.encoder
        return cls(OVS3DTrainerConfig(pipeline=pipeline.config, encoder=encoder), pipeline.model)

    @cached_property
    def train_outputs(self) -> DataparserOutputs:
        """Photographs and cameras that the run was trained on."""
        return self._outputs("train")

    @cached_property
    def held_out_outputs(self) -> DataparserOutputs:
        """Photographs and cameras that are measured; training has seen them in the protocol of the paper alone."""
        return self._outputs("test")

    def _outputs(self, split: str) -> DataparserOutputs:
        manager = self.config.pipeline.datamanager
        parser = manager.dataparser
        if manager.data is not None:
            parser.data = manager.data
        return parser.setup().get_dataparser_outputs(split=split)

    def held_out(self) -> Iterator[View]:
        """The held-out views, with labels where the data has them."""
        yield from read_views(self.held_out_outputs, self.classes)

    def photograph(self, name: str) -> Photograph:
        """A photograph of the data, held out or not, by its name in `photographs`."""
        known = self.photographs
        if name not in known:
            raise UserError(f"The scene has no photograph named {name}; give the name of one, as {next(iter(known))}.")
        return known[name]

    def names(self, outputs: DataparserOutputs) -> list[str]:
        """Names in `photographs` of the views of a split, in its order."""
        named = {photograph.path: name for name, photograph in self.photographs.items()}
        return [named[path] for path in photograph_paths(outputs)]

    @cached_property
    def photographs(self) -> dict[str, Photograph]:
        """All photographs of the data by their names without suffix (and with their folders, where names repeat)."""
        return photographs(self.train_outputs, self.held_out_outputs)

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

    @torch.no_grad()
    def look(self, camera: Cameras) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w"]]:
        """Colour in [0, 1] and distance along the ray in scene units, also where geometry alone has been trained."""
        outputs = self.model.get_outputs_for_camera(camera.to(self.model.device))
        if self.model.keeps is not None:
            clear_empty(outputs)
        return outputs["rgb"].clamp(0.0, 1.0).cpu(), outputs["depth"][..., 0].cpu()

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
    def compare(self, vectors: Float[Tensor, "n dim"], camera: Cameras) -> Float[Tensor, "h w n"]:
        """Cosines of the scene as seen from one camera and unit vectors in the space of its features."""
        looked = self._look(camera)
        products = self.model.semantic.products(looked["hidden"], vectors.to(self.model.device))
        return (products * looked["inverse_lengths"]).cpu()

    @torch.no_grad()
    def feature(self, camera: Cameras, row: int, column: int) -> Float[Tensor, " dim"]:
        """The feature at one pixel as seen from a camera."""
        return self.model.semantic.last_layer(self._look(camera)["hidden"][row, column]).cpu()

    def features(self, camera: Cameras) -> Float[Tensor, "h w dim"]:
        """Features as seen from one camera, not normalised, in the space of the run's encoder; 0 where nothing is."""
        return torch.cat(list(self.feature_rows(camera)))

    def feature_rows(self, camera: Cameras) -> Iterator[Float[Tensor, "rows w dim"]]:
        """`features`, some rows at a time: those of a large view take gigabytes."""
        looked = self._look(camera)
        rows = max(1, PIXELS // looked["hidden"].shape[1])
        for hidden, inverse in zip(looked["hidden"].split(rows), looked["inverse_lengths"].split(rows), strict=True):
            with torch.no_grad():
                features = self.model.semantic.last_layer(hidden) * (inverse > 0.0)
            yield features.cpu()

    @torch.no_grad()
    def hidden_at(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points hidden"]:
        """What the field says at places in the data's own coordinates, ready to be compared with words."""
        self._require_semantics()
        outputs, model = self.train_outputs, self.model
        turned = points @ outputs.dataparser_transform[:, :3].T + outputs.dataparser_transform[:, 3]
        return model.hidden_at((turned * outputs.dataparser_scale).to(model.device))

    def _look(self, camera: Cameras) -> dict[str, Tensor]:
        """A view ready to be compared; that of the last call is kept."""
        self._require_semantics()
        key = fingerprint(camera)
        if self._looked is None or self._looked[0] != key:
            self._looked = None  # Two views at a time would take twice the memory.
            self._looked = key, self._render(camera, "hidden")
        return self._looked[1]

    @torch.no_grad()
    def _render(self, camera: Cameras, *extra_outputs: ExtraOutput) -> dict[str, Tensor]:
        self._require_semantics()
        with self.model.giving(*extra_outputs):
            outputs = self.model.get_outputs_for_camera(camera.to(self.model.device))
        if self.model.keeps is not None:
            clear_empty(outputs)
        return outputs

    def _require_semantics(self) -> None:
        if not self.model.has_semantics:
            raise UserError("This run stopped in its geometry stage; resume it with ns-train --load-dir.")


def fingerprint(camera: Cameras) -> bytes:
    """Equal for cameras that see the same."""
    fields = (camera.camera_to_worlds, camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height,
              camera.camera_type, camera.distortion_params)  # fmt: skip
    return b"|".join(b"" if each is None else each.cpu().numpy().tobytes() for each in fields)


def clear_empty(outputs: dict[str, Tensor]) -> None:
    """Marks the rays of an edited scene that show nothing: class -1, infinitely far, like no word."""
    empty = outputs["accumulation"] < EMPTY
    outputs["class_id"] = outputs["class_id"].masked_fill(empty, -1.0)
    outputs["depth"] = outputs["depth"].masked_fill(empty, torch.inf)
    for name in ("class_scores", "inverse_lengths"):
        if name in outputs:
            outputs[name] = outputs[name].masked_fill(empty, 0.0)
