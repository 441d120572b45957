"""Held-out views at a lattice of pixels: a score in seconds, for use while training."""

from collections.abc import Iterator

import torch
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.models.base_model import Model
from torch import Tensor


@torch.no_grad()
def render_lattice(model: Model, dataset: InputDataset, step: int) -> Iterator[tuple[dict[str, Tensor], dict]]:
    """Renders every `step`-th row and column of every view of `dataset`.

    Yields:
        The model's outputs, and the view's tensors at the same pixels: its photograph `image` [rows, columns, 3], and
        `labels` [rows, columns] and `mask` [rows, columns, 1] where there are any.
    """
    for view in range(len(dataset)):
        rays = dataset.cameras.generate_rays(view, keep_shape=True)[::step, ::step]
        outputs = model.get_outputs_for_camera_ray_bundle(rays.to(model.device))
        truth = {name: values for name, values in dataset[view].items() if name in ("image", "labels", "mask")}
        pixels = {name: values[::step, ::step].to(model.device) for name, values in truth.items()}
        yield outputs, {**pixels, "image": pixels["image"][..., :3]}
