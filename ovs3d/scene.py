"""A trained run, opened for use: no training state, no teacher, CPU or CUDA."""

from collections.abc import Iterator, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.scene_box import SceneBox
from torch import Tensor

from ovs3d.cli.runs import find_run
from ovs3d.data.classes import parse_classes
from ovs3d.editing import clear_empty, keeper
from ovs3d.errors import UserError
from ovs3d.export.pointcloud import LabelledPoints, fuse
from ovs3d.export.views import chosen_views, render_views
from ovs3d.field.backbones import check_backbone
from ovs3d.model import ExtraOutput, OVS3DModel
from ovs3d.palette import class_colours
from ovs3d.pipeline import OVS3DPipeline
from ovs3d.preflight import latest_checkpoint
from ovs3d.query.ask import Query, gather_prototypes, to_question
from ovs3d.query.places import Places
from ovs3d.query.result import QueryResult
from ovs3d.query.score import Question, judge
from ovs3d.query.vectors import Prototypes
from ovs3d.safe_yaml import load_config
from ovs3d.spaces import TextEncoder
from ovs3d.teachers.text import embed_prompts, text_encoder
from ovs3d.trainer import OVS3DTrainerConfig
from ovs3d.views import Photograph, Segmentation, View, photographs, read_views

POINT_VIEWS = 60
"""Training views that points are made from, at most."""


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
        self._looked: tuple[bytes, dict[str, Tensor]] | None = None
        self._cloud: tuple[int, LabelledPoints] | None = None
        self._whole = self  # What an edited scene was made from.

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

    @classmethod
    def of(cls, pipeline: OVS3DPipeline) -> "Scene":
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

    def relevancy(self, words: Sequence[str], camera: Cameras) -> Float[Tensor, "h w words"]:
        """Relevancy of any words as seen from one camera, cosines in [-1, 1]; no class list is needed.

        What the view asked last needs for further words is kept, 128 numbers a pixel; they cost no rendering.

        Raises:
            UserError: the run has only trained its geometry so far, or no word is given, or its vocabulary lacks one.
        """
        self._require_semantics()
        if isinstance(words, str) or len(words) == 0:
            raise UserError(f"Words are asked as a list of at least one, not as {words!r}.")
        return self.compare(embed_prompts(self.text_encoder, [(word,) for word in words]), camera)

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

    @torch.no_grad()
    def features(self, camera: Cameras) -> Float[Tensor, "h w dim"]:
        """Features as seen from one camera, not normalised, in the space of the run's encoder; 0 where nothing is."""
        looked = self._look(camera)
        return (self.model.semantic.last_layer(looked["hidden"]) * (looked["inverse_lengths"] > 0.0)).cpu()

    def query(
        self,
        text: str | None = None,
        camera: Cameras | None = None,
        *,
        image: Path | str | None = None,
        click: tuple[str, int, int] | None = None,
        point: tuple[float, float, float] | None = None,
        vector: Float[Tensor, " dim"] | None = None,
        space: str | None = None,
        negatives: Sequence[str] | None = None,
    ) -> QueryResult:
        """Looks for something from one camera, by words, a picture, a click, a point or a vector.

        Args:
            text: words.
            camera: from where; a click may leave it out and gets the view that it is in.
            image: picture of such a thing; the class that it is most like is found.
            click: name of a photograph (see `photographs`), row and column in it.
            point: place in the data's own coordinates.
            vector: any vector of the space named by `space`.
            space: id of the vector's embedding space.
            negatives: words that a text query is not; by default the classes of the run but for the nearest one.

        Raises:
            UserError: not exactly one thing is asked, it does not fit the scene, or the run has no semantics yet.
        """
        asked = Query(text, image, click, point, vector, space, negatives)
        if camera is None:
            if click is None:
                raise UserError("A query needs a camera, such as scene.held_out_outputs.cameras[0:1].")
            camera = self.photograph(click[0]).camera
        return self.answer(self.ask(asked), camera)

    def ask(self, query: Query) -> Question:
        """A query as vectors, to be answered from any number of cameras."""
        self._require_semantics()
        return to_question(self, query)

    def answer(self, question: Question, camera: Cameras) -> QueryResult:
        """What is seen of it from one camera."""
        cosines = self.compare(torch.cat([question.vector[None], question.others]), camera)
        judged = judge(question, cosines[..., 0], cosines[..., 1:])
        rgb = self._look(camera)["rgb"].clamp(0.0, 1.0).cpu()
        return QueryResult(question.name, judged, rgb, lambda: self.find(question))

    def find(self, question: Question) -> Places:
        """Where in space the answer lies; renders `points` when asked first."""
        cosines = self.compare_points(torch.cat([question.vector[None], question.others]))
        judged = judge(question, cosines[:, 0], cosines[:, 1:])
        names = list(photographs(self.train_outputs))
        views = tuple(names[index] for index in chosen_views(self.train_outputs, POINT_VIEWS))
        return Places(question.name, judged, self.points(), views)

    @torch.no_grad()
    def compare_points(self, vectors: Float[Tensor, "n dim"]) -> Float[Tensor, "points n"]:
        """Cosines of the scene at its `points` and unit vectors in the space of its features."""
        semantic = self.model.semantic
        hidden = self.hidden_at(torch.from_numpy(self.points().points).float())
        return (semantic.products(hidden, vectors.to(hidden.device)) * semantic.inverse_lengths(hidden)).cpu()

    def points(self, side: int = 160) -> LabelledPoints:
        """Labelled points on the scene's surfaces, in the coordinates and units of its data; kept for the next call.

        Args:
            side: longest side in pixels of the training views that they are made from; a larger one gives more points.

        Raises:
            UserError: the run shows no surface, or has only trained its geometry so far.
        """
        if self._cloud is None or self._cloud[0] != side:
            self._cloud = side, fuse(list(render_views(self, POINT_VIEWS, side)))
        return self._cloud[1]

    @torch.no_grad()
    def hidden_at(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points hidden"]:
        """What the field says at places in the data's own coordinates, ready to be compared with words."""
        self._require_semantics()
        outputs, model = self.train_outputs, self.model
        turned = points @ outputs.dataparser_transform[:, :3].T + outputs.dataparser_transform[:, 3]
        return model.hidden_at((turned * outputs.dataparser_scale).to(model.device))

    def photograph(self, name: str) -> Photograph:
        """A photograph of the data, held out or not, by its name in `photographs`."""
        known = self.photographs
        if name not in known:
            raise UserError(f"The scene has no photograph named {name}; give the name of one, as {next(iter(known))}.")
        return known[name]

    @cached_property
    def photographs(self) -> dict[str, Photograph]:
        """All photographs of the data by their names without suffix (and with their folders, where names repeat)."""
        return photographs(self.train_outputs, self.held_out_outputs)

    @cached_property
    def prototypes(self) -> Prototypes:
        """What the classes look like in this scene, gathered when an example is asked for first."""
        return gather_prototypes(self._whole)

    def edited(self, keep: Sequence[str] = (), without: Sequence[str] = ()) -> "Scene":
        """This scene with some things alone, or without some things, from every camera.

        Words are understood as in `query`, and what each of them finds counts. Where nothing is left colour is grey,
        depth infinite and the label -1. What stood behind a thing is as the training views saw it; what none of them
        saw, such as the floor below it, is a hole or anything.

        Args:
            keep: words for all that stays; by default everything.
            without: words for what goes.

        Raises:
            UserError: no word is given, or one finds nothing.
        """
        self._require_semantics()
        keeps = keeper(self, keep, without)
        other = self._copy()
        other.model.keeps = keeps
        return other

    def with_classes(self, words: Sequence[str]) -> "Scene":
        """This scene segmented into other words, "name" or "name: prompt | prompt", without any training.

        Raises:
            UserError: there are fewer than two words, or one is not known or given twice.
        """
        self._require_semantics()
        entries = [(f"class {number}", word) for number, word in enumerate(words, start=1)]
        classes = parse_classes(entries, "The list of classes", 2)
        text = embed_prompts(self.text_encoder, [prompts for _, prompts in classes])
        other = self._copy()
        other.classes = tuple(name for name, _ in classes)
        other._whole = other if self._whole is self else self._whole.with_classes(words)
        vars(other).pop("prototypes", None)
        other.model.text = text.to(self.model.device)
        other.model.colours = torch.from_numpy(class_colours(len(classes)) / 255.0).float().to(self.model.device)
        return other

    def _copy(self) -> "Scene":
        """A scene of its own that shares everything that is trained or read."""
        other = copy(self)
        other.model, other._looked, other._cloud = copy(self.model), None, None
        other.model._buffers = dict(self.model._buffers)
        return other

    def _look(self, camera: Cameras) -> dict[str, Tensor]:
        """A view ready to be compared; that of the last call is kept."""
        self._require_semantics()
        key = fingerprint(camera)
        if self._looked is None or self._looked[0] != key:
            self._looked = None  # Two views at a time would take twice the memory.
            self._looked = key, self._render(camera, "hidden")
        return self._looked[1]

    def _require_semantics(self) -> None:
        if not self.model.has_semantics:
            raise UserError("This run stopped in its geometry stage; resume it with ns-train --load-dir.")

    @torch.no_grad()
    def _render(self, camera: Cameras, *extra_outputs: ExtraOutput) -> dict[str, Tensor]:
        self._require_semantics()
        with self.model.giving(*extra_outputs):
            outputs = self.model.get_outputs_for_camera(camera.to(self.model.device))
        if self.model.keeps is not None:
            clear_empty(outputs)
        return outputs


def fingerprint(camera: Cameras) -> bytes:
    """Equal for cameras that see the same."""
    fields = (camera.camera_to_worlds, camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height,
              camera.camera_type, camera.distortion_params)  # fmt: skip
    return b"|".join(b"" if each is None else each.cpu().numpy().tobytes() for each in fields)
