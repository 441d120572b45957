"""Features of a perfect 2D teacher: every window says its true majority class. They judge the lifting to 3D alone."""

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int

from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.data.labels import load_label_map
from ovs3d.errors import UserError
from ovs3d.teachers.windows import average_windows, sliding_windows, storage_grid, window_sides, window_stride

SPACE = "oracle"


def majority(labels: Int[np.ndarray, "h w"], boxes: torch.Tensor, classes: int) -> torch.Tensor:
    """One-hot majority class of every window, [windows, classes]; windows without a labelled pixel are zero."""
    one_hot = np.stack([labels == index for index in range(classes)], axis=-1).astype(np.int64)
    sums = np.pad(one_hot.cumsum(0).cumsum(1), ((1, 0), (1, 0), (0, 0)))
    top, left, bottom, right = boxes.numpy().T
    counts = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    best = torch.nn.functional.one_hot(torch.from_numpy(counts.argmax(axis=1)), classes).float()
    return best * torch.from_numpy(counts.sum(axis=1) > 0)[:, None]


def write_oracle(data: Path, out: Path) -> None:
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
        levels = []
        for side in sides:
            boxes = sliding_windows(height, width, side)
            averaged = average_windows(boxes, majority(labels, boxes, len(names)), (height, width), grid)
            levels.append(torch.nn.functional.normalize(averaged, dim=-1))
        np.save(out / f"{Path(path).stem}.npy", torch.stack(levels).numpy().astype(np.float16))
    np.savez(out / "vocabulary.npz", words=np.array(names), embeddings=np.eye(len(names), dtype=np.float32),
             space=np.array(SPACE))  # fmt: skip
    meta = {"space": SPACE, "dim": len(names), "levels": ["5", "7", "10"], "teacher": "oracle", "normalised": True}
    with tempfile.NamedTemporaryFile("w", dir=out, suffix=".json", delete=False) as file:
        json.dump(meta, file)
    Path(file.name).replace(out / "meta.json")  # The last file, so that a folder with it is complete.
