"""Rows of the teachers: bytes that a view's features take, and seconds to extract them. Random weights do for both."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import timm
import torch
from PIL import Image
from torch import Tensor

from ovs3d.encoders.dino import VitPatchEncoder
from ovs3d.encoders.open_clip import OpenClipEncoder
from ovs3d.evaluation.results import ResultRow
from ovs3d.teachers.base import Teacher
from ovs3d.teachers.cache import extract_features
from ovs3d.teachers.clip_crops import ClipCrops, encode_windows
from ovs3d.teachers.clip_dense import ClipDense
from ovs3d.teachers.dino import Dino
from ovs3d.teachers.windows import sliding_windows, window_sides
from tools.benchmarks.timing import COMMAND, median_row, take_turns

HEIGHT, WIDTH = 1080, 1440
TIMED_WINDOWS = 200
THEIRS = 149.0
"""Megabytes a view of that size, written by the authors' code."""


def features(repetitions: int) -> Iterator[ResultRow]:
    """A view of 1440 x 1080 with ViT-B/16 at three scales, and with DINO ViT-S/8."""
    torch.manual_seed(0)
    cpu = torch.device("cpu")
    clip = OpenClipEncoder(open_clip.create_model("ViT-B-16"), "ViT-B-16", "random", cpu, precision=torch.float32)
    dino = VitPatchEncoder(timm.create_model("vit_small_patch8_224_dino"), "random", cpu, precision=torch.float32)
    image = torch.rand(3, HEIGHT, WIDTH)
    yield from stored_sizes([ClipDense(clip), Dino(dino)], image)
    yield from extraction(clip, image, repetitions)


def stored_sizes(teachers: list[Teacher], image: Tensor) -> Iterator[ResultRow]:
    """Megabytes on disk, after a real extraction."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "view.png"
        Image.fromarray((image.permute(1, 2, 0).numpy() * 255.0).astype(np.uint8)).save(path)
        stores = [extract_features(teacher, [path], Path(folder)) for teacher in teachers]
        sizes = [store.paths[0].stat().st_size / 1e6 for store in stores]
    name = f"features of a {WIDTH}x{HEIGHT} view"
    yield ResultRow(f"{name}, ViT-B/16 at 3 scales", sizes[0], 3.0, "MB", False, None, (0,), COMMAND)
    yield ResultRow(f"{name}, all teachers", sum(sizes), 8.0, "MB", False, None, (0,), COMMAND)
    yield ResultRow(f"{name}, published for 3D-OVS", THEIRS, None, "MB", False, None, (), "published")


def extraction(clip: OpenClipEncoder, image: Tensor, repetitions: int) -> Iterator[ResultRow]:
    """Seconds per view; of the windows 200 are timed, and the time of all follows from their number."""
    boxes = torch.cat([sliding_windows(HEIGHT, WIDTH, side) for side in window_sides(HEIGHT, WIDTH)])
    chosen = boxes[torch.randperm(len(boxes), generator=torch.Generator().manual_seed(0))[:TIMED_WINDOWS]]
    dense, crops = ClipDense(clip), ClipCrops(clip)
    pairs = take_turns(
        lambda: dense.extract(image), lambda: encode_windows(clip, image, chosen, crops.batches), repetitions
    )
    scale = len(boxes) / TIMED_WINDOWS
    ratios = tuple(ratio * scale for ratio in pairs.ratios)
    yield median_row(f"clip-dense against the {len(boxes)} windows of clip-crops, ViT-B/16", ratios, 20.0, "x")
    yield median_row("clip-dense, ViT-B/16", pairs.ours, None, "s/view", higher_is_better=False)
