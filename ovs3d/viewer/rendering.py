"""What the viewer renders: the model's outputs and those of the panel."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
from torch import Tensor

from ovs3d.model import ExtraOutput, OVS3DModel
from ovs3d.pca import PrincipalColours
from ovs3d.relevancy import unit
from ovs3d.viewer.asking import Asked
from ovs3d.viewer.paint import paint_classes, paint_scores, paint_selection

STRIP = 1 << 14
"""Rays that are painted at a time: what words are compared with takes hundreds of numbers a ray."""
NEEDED: dict[str, ExtraOutput] = {"relevancy": "hidden", "selection": "selection", "pca": "hidden"}
"""Outputs of the panel besides `segmentation`, and what they are painted from."""


@dataclass(frozen=True)
class Look:
    """What is to be seen; read once per render, so that no picture shows half a change."""

    outputs: frozenset[str]
    """Outputs that somebody looks at."""
    asked: Asked | None
    threshold: float
    opacity: float
    shown: Bool[Tensor, " classes"]
    """Classes that are switched on."""
    colours: PrincipalColours | None
    """Known where `pca` is looked at."""


class ViewedModel:
    """Stands in the place of the model where the viewer renders, and nowhere else.

    The host offers every output by its name. Those that nobody looks at are not computed: they are the colour.

    Args:
        model: what is looked at.
        look: tells what a render shows.
        training: tells whether the same process trains now. Renders are then left to one processor: OpenMP lets waiting
            threads sleep at once when there are more of them than processors, and with the threads of renders beside
            its own every step of training on two processors takes a third longer, whether anything is rendered or not.
    """

    def __init__(
        self, model: OVS3DModel, look: Callable[[], Look], training: Callable[[], bool] = lambda: False
    ) -> None:
        self._model, self._look, self._training = model, look, training
        self._threads = torch.get_num_threads()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @torch.no_grad()
    def get_outputs_for_camera(self, camera: Cameras, obb_box: OrientedBox | None = None) -> dict[str, Tensor]:
        """In the place of the model's: the host's arguments, and the outputs of the panel as well."""
        # Of the host's thread for renders, in which this runs.
        torch.set_num_threads(1 if self._training() else self._threads)
        rays = camera.generate_rays(camera_indices=0, keep_shape=True, obb_box=obb_box)
        if not self._model.has_semantics:
            return self._model.get_outputs_for_camera_ray_bundle(rays)
        look = self._look()
        rows = max(1, STRIP // rays.shape[1])
        strips = [self._paint(rays[first : first + rows], look) for first in range(0, rays.shape[0], rows)]
        return {name: torch.cat([strip[name] for strip in strips]) for name in strips[0]}

    def _paint(self, rays: RayBundle, look: Look) -> dict[str, Tensor]:
        model = self._model
        wanted: set[ExtraOutput] = {NEEDED[name] for name in NEEDED if name in look.outputs}
        with model.giving(*wanted):
            given = model.get_outputs_for_camera_ray_bundle(rays)
        hidden, lengths = given.pop("hidden", None), given.pop("inverse_lengths", None)
        selection, rgb = given.pop("selection", None), given["rgb"]
        painted = given | dict.fromkeys(NEEDED, rgb)
        painted["segmentation"] = paint_classes(rgb, given["segmentation"], given["class_id"], look.shown, look.opacity)
        if "relevancy" in look.outputs and look.asked is not None and hidden is not None and lengths is not None:
            cosines = model.semantic.products(hidden, look.asked.vectors.to(rgb)) * lengths
            scores = look.asked.scores(cosines.cpu()).to(rgb)  # Questions stay on the CPU.
            painted["relevancy"] = paint_scores(rgb, scores, look.threshold, look.opacity)
        if selection is not None:
            painted["selection"] = paint_selection(selection)
        if "pca" in look.outputs and look.colours is not None and hidden is not None:
            painted["pca"] = look.colours(unit(model.semantic.last_layer(hidden)).cpu()).to(rgb)
        return painted
