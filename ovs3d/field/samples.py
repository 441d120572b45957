"""Cached samples: with density frozen, a ray is its few heaviest samples, and stage 2 needs nothing else of it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

CHUNK = 8192


@dataclass(frozen=True)
class KeptSamples:
    """What the semantic field sees of rays: their heaviest samples, and the colour of what they meet."""

    points: Float[Tensor, "rays samples 3"]
    """Contracted coordinates, in [-1, 1]."""
    weights: Float[Tensor, "rays samples"]
    """Rendering weights, detached; they sum to the ray's opacity."""
    colours: Float[Tensor, "rays 3"]
    """`RadianceField.colour_from_everywhere` of the samples' mean surface, in [0, 1]."""

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, rays: Int[Tensor, " kept"]) -> "KeptSamples":
        return KeptSamples(self.points[rays], self.weights[rays], self.colours[rays])

    def to(self, target: torch.device | torch.dtype | str) -> "KeptSamples":
        """On another device, or in another precision."""
        return KeptSamples(self.points.to(target), self.weights.to(target), self.colours.to(target))


SampleRays = Callable[[Int[Tensor, " rays"], Float[Tensor, "rays 2"]], KeptSamples]
"""(views, uv) -> the rays' heaviest samples."""


@dataclass(frozen=True)
class SampleTable:
    """Rays of the training views with their heaviest samples, in half precision: 70 bytes a ray for 8 samples.

    Its first part is a lattice with one ray per token of the patch encoder, view after view, row after row, from which
    whole patches are read; the rest are random rays. A scene without a patch encoder has no lattice.
    """

    views: Int[Tensor, " rays"]
    uv: Float[Tensor, "rays 2"]
    """Place in the picture, (x / width, y / height) in [0, 1]."""
    samples: KeptSamples
    lattice: tuple[int, int, int]
    """(views, rows, columns) of the lattice; its rays are the first `views * rows * columns`."""

    def __len__(self) -> int:
        return len(self.views)

    def patch_rows(
        self, patches: int, side: int, generator: torch.Generator | None = None
    ) -> Int[Tensor, "patches tokens"]:
        """Row numbers of `patches` random windows of at most `side` x `side` neighbouring lattice rays."""
        views, rows, columns = self.lattice
        high, wide = min(side, rows), min(side, columns)
        view = torch.randint(views, (patches, 1, 1), generator=generator)
        top = torch.randint(rows - high + 1, (patches, 1, 1), generator=generator) + torch.arange(high)[:, None]
        left = torch.randint(columns - wide + 1, (patches, 1, 1), generator=generator) + torch.arange(wide)
        return ((view * rows + top) * columns + left).reshape(patches, -1)


def lattice_rays(views: int, rows: int, columns: int) -> tuple[Int[Tensor, " rays"], Float[Tensor, "rays 2"]]:
    """One ray through the middle of every cell of a `rows` x `columns` grid over every view."""
    view, row, column = torch.meshgrid(torch.arange(views), torch.arange(rows), torch.arange(columns), indexing="ij")
    uv = torch.stack([(column + 0.5) / columns, (row + 0.5) / rows], dim=-1)
    return view.reshape(-1), uv.reshape(-1, 2)


def build_table(
    sample_rays: SampleRays,
    view_count: int,
    random_rays: int,
    lattice: tuple[int, int],
    generator: torch.Generator,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SampleTable:
    """Renders the rays of the table once.

    Args:
        sample_rays: gives the heaviest samples of rays.
        view_count: number of training views.
        random_rays: how many rays to draw uniformly over views and places.
        lattice: (rows, columns) of the patch encoder's grid; (0, 0) for none.
        generator: draws the random rays.
        progress: called with (rays done, rays in all).
    """
    rows, columns = lattice
    views, uv = lattice_rays(view_count, rows, columns)
    views = torch.cat([views, torch.randint(view_count, (random_rays,), generator=generator)])
    uv = torch.cat([uv, torch.rand(random_rays, 2, generator=generator)])
    parts = []
    for start in range(0, len(views), CHUNK):
        chunk = slice(start, start + CHUNK)
        parts.append(sample_rays(views[chunk], uv[chunk]).to(torch.float16).to("cpu"))
        progress(min(start + CHUNK, len(views)), len(views))
    samples = KeptSamples(
        torch.cat([part.points for part in parts]),
        torch.cat([part.weights for part in parts]),
        torch.cat([part.colours for part in parts]),
    )
    return SampleTable(views, uv, samples, (view_count, rows, columns))
