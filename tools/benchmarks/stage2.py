"""Rows of the semantic stage: an iteration of ours against the paper's way written plainly."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from ovs3d.evaluation.results import ResultRow
from ovs3d.field.samples import KeptSamples, SampleTable, lattice_rays
from ovs3d.field.semantic import RaySemantics, SemanticField
from ovs3d.model_config import OVS3DModelConfig
from ovs3d.native.memory import keep_freed_memory, return_freed_memory
from ovs3d.objectives import semantic_losses
from ovs3d.teachers.bank import TeacherBank
from ovs3d.teachers.base import FeatureMeta
from ovs3d.teachers.batches import semantic_batch
from ovs3d.teachers.store import FeatureStore
from ovs3d.teachers.windows import storage_grid
from tools.benchmarks.plain_stage2 import PlainField
from tools.benchmarks.timing import median_row, take_turns

VIEWS, HEIGHT, WIDTH, PATCH = 20, 480, 640, 8
RAYS, PATCHES, SIDE = 4096, 8, 32
SCALES, DIM, PATCH_DIM, CLASSES = 3, 512, 384, 8


def stage2(repetitions: int) -> Iterator[ResultRow]:
    """Iterations of 4096 rays and 8 patches of 32 x 32, 3 scales, 512-d, 8 classes, views of 640 x 480."""
    with tempfile.TemporaryDirectory() as folder:
        iteration = Iteration(Path(folder))
        pairs = take_turns(lambda: iteration.ours(5), iteration.plain, repetitions)
    ours = tuple(5.0 / seconds for seconds in pairs.ours)
    ratios = tuple(ratio * 5.0 for ratio in pairs.ratios)
    yield median_row("semantic stage, iterations against the paper's way", ratios, 20.0, "x")
    yield median_row("semantic stage, iterations", ours, None, "1/s")
    yield median_row("the paper's way, one iteration", pairs.theirs, None, "s", higher_is_better=False)


class Iteration:
    """Both ways on the same targets, with the same losses."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)
        self.config = OVS3DModelConfig(classes=tuple(f"class {index}" for index in range(CLASSES)))
        rows, columns = HEIGHT // PATCH, WIDTH // PATCH
        text_grid = storage_grid(HEIGHT, WIDTH, 1)
        self.bank = TeacherBank(
            write_store(folder, "text", SCALES, text_grid, DIM),
            write_store(folder, "patch", 1, (rows, columns), PATCH_DIM), tuple(range(VIEWS)), tuple(range(SCALES)),
        )  # fmt: skip
        self.text = normalize(torch.randn(CLASSES, DIM), dim=-1)
        self.range = torch.stack(
            [torch.full((VIEWS, SCALES, CLASSES), -0.2), torch.full((VIEWS, SCALES, CLASSES), 0.2)]
        )
        views, uv = lattice_rays(VIEWS, rows, columns)
        rays, kept = len(views), self.config.kept_samples
        weights = torch.softmax(torch.randn(rays, kept), dim=-1)
        samples = KeptSamples(torch.rand(rays, kept, 3), weights, torch.rand(rays, 3)).to(torch.float16)
        self.table = SampleTable(views, uv, samples, (VIEWS, rows, columns))
        config = self.config
        self.field = SemanticField(
            config.latent_resolutions, config.latent_channels, config.head_dim, SCALES, DIM, PATCH_DIM,
            config.selection_sharpness,
        )  # fmt: skip
        self.optimizer = torch.optim.Adam(self.field.parameters(), fused=True)
        self.plain_field = PlainField(SCALES, DIM, PATCH_DIM)
        self.plain_optimizer = torch.optim.Adam(self.plain_field.parameters())

    def ours(self, count: int) -> None:
        """Samples from the table, a composited latent, one decoding per ray."""
        for _ in range(count):
            samples, batch = semantic_batch(self.table, self.bank, RAYS, PATCHES, SIDE)
            self.step(self.field.render(samples), batch, self.optimizer)

    def plain(self) -> None:
        """222 samples a ray, density evaluated again, the features of every shaded sample decoded and composited."""
        return_freed_memory()  # As in the authors' process; its blocks are so large that keeping them does not pay.
        _, batch = semantic_batch(self.table, self.bank, RAYS, PATCHES, SIDE)
        self.step(self.plain_field(len(batch["views"])), batch, self.plain_optimizer)
        keep_freed_memory()

    def step(self, rendered: RaySemantics, batch: dict, optimizer: torch.optim.Optimizer) -> None:
        """Losses, gradients, update."""
        losses = semantic_losses(self.config, self.text, self.range, rendered, batch)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()


def write_store(folder: Path, name: str, scales: int, grid: tuple[int, int], dim: int) -> FeatureStore:
    """Random unit features of all views, on disk as a teacher's are."""
    paths = []
    for view in range(VIEWS):
        features = np.random.default_rng(view).normal(size=(scales, *grid, dim)).astype(np.float32)
        features /= np.linalg.norm(features, axis=-1, keepdims=True)
        paths.append(folder / f"{name}-{view}.npy")
        np.save(paths[-1], features.astype(np.float16))
    levels = tuple(str(scale) for scale in range(scales))
    return FeatureStore(FeatureMeta(name, name, dim, levels, True), paths)
