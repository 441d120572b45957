"""Features of perfect 2D teachers: every window, or every token, says its true majority class.

They judge the lifting to 3D alone. The windows are those of `clip-crops`, the tokens those of `clip-dense`; windows
that are wider than the objects cap the first.
"""

import json
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int

from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.data.labels import load_label_map
from ovs3d.errors import UserError
from ovs3d.teachers.clip_dense import overlaps
from ovs3d.teachers.windows import DIVISORS, average_windows, sliding_windows, storage_grid, window_sides, window_stride

SPACE = "oracle"
TOKENS = 6
"""Tokens along a side of tiny-clip's training image: a window of `clip-dense` is so many tokens wide."""
Unit = Literal["windows", "tokens"]
"""What says its majority class."""


def majority(labels: Int[np.ndarray, "h w"], boxes: torch.Tensor, classes: int) -> torch.Tensor:
    """One-hot majority class of every window, [windows, classes]; windows without a labelled pixel are zero."""
    one_hot = np.stack([labels == index for index in range(classes)], axis=-1).astype(np.int64)
    sums = np.pad(one_hot.cumsum(0).cumsum(1), ((1, 0), (1, 0), (0, 0)))
    top, left, bottom, right = boxes.numpy().T
    counts = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    best = torch.nn.functional.one_hot(torch.from_numpy(counts.argmax(axis=1)), classes).float()
    return best * torch.from_numpy(counts.sum(axis=1) > 0)[:, None]


def level(labels: Int[np.ndarray, "h w"], side: int, grid: tuple[int, int], classes: int, unit: Unit) -> torch.Tensor:
    """Unit-length features [gh, gw, classes] of one scale, whose windows have `side` pixels."""
    height, width = labels.shape
    if unit == "windows":
        boxes = sliding_windows(height, width, side)
        averaged = average_windows(boxes, majority(labels, boxes, classes), (height, width), grid)
    else:
        counts = [max(1, round(size * TOKENS / side)) for size in (height, width)]
        edges = [np.linspace(0, size, count + 1).round() for size, count in zip((height, width), counts, strict=True)]
        top, left = np.meshgrid(edges[0][:-1], edges[1][:-1], indexing="ij")
        bottom, right = np.meshgrid(edges[0][1:], edges[1][1:], indexing="ij")
        boxes = torch.from_numpy(np.stack([top, left, bottom, right], axis=-1).reshape(-1, 4).astype(np.int64))
        tokens = majority(labels, boxes, classes).unflatten(0, counts)
        rows, columns = (overlaps(count, cells) * cells for count, cells in zip(counts, grid, strict=True))
        averaged = torch.einsum("gy,yxd,hx->ghd", rows, tokens, columns)
    return torch.nn.functional.normalize(averaged, dim=-1)


def write_oracle(data: Path, out: Path, unit: Unit) -> None:
    """Writes the oracle's features of the training views of a labelled scene in the exchange format."""
    outputs = OVS3DDataParserConfig(data=data).setup().get_dataparser_outputs(split="train")
    names = [name for name, _ in outputs.metadata["classes"]]
    out.mkdir(parents=True, exist_ok=True)
    for path, source, camera in zip(
        outputs.image_filenames, outputs.metadata["label_paths"], outputs.cameras, strict=True
    ):
        height, width = int(camera.height), int(camera.width)
        labels = load_label_map(source, outputs.metadata["label_names"], names, (height, width))
        if labels is None:
            raise UserError(f"{path} has no labels; the oracle needs those of every training view.")
        sides = window_sides(height, width)
        grid = storage_grid(height, width, window_stride(min(sides)))
        levels = [level(labels, side, grid, len(names), unit) for side in sides]
        np.save(out / f"{Path(path).stem}.npy", torch.stack(levels).numpy().astype(np.float16))
    np.savez(out / "vocabulary.npz", words=np.array(names), embeddings=np.eye(len(names), dtype=np.float32),
             space=np.array(SPACE))  # fmt: skip
    levels = [str(divisor) for divisor in DIVISORS]
    meta = {"space": SPACE, "dim": len(names), "levels": levels, "teacher": "oracle", "normalised": True}
    with tempfile.NamedTemporaryFile("w", dir=out, suffix=".json", delete=False) as file:
        json.dump(meta, file)
    Path(file.name).replace(out / "meta.json")  # The last file, so that a folder with it is complete.
