"""The floor of the semantic stage: the matrix products and gathers of one iteration, each timed alone."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ovs3d.evaluation.results import ResultRow
from ovs3d.field.planes import Planes
from ovs3d.teachers.batches import semantic_batch
from ovs3d.teachers.store import FeatureStore
from tools.benchmarks import stage2
from tools.benchmarks.stage2 import Iteration
from tools.benchmarks.timing import COMMAND, median_row, repeat, seconds

aten = torch.ops.aten
PRODUCTS = (aten.mm, aten.addmm, aten.bmm, aten.baddbmm)
GATHERS = (aten.index, aten.index_select, aten.gather, aten.index_put, aten.index_put_, aten.index_add,
           aten.index_add_, aten.scatter_add, aten.scatter_add_)  # fmt: skip
BEST_OF = 5


def stage2_floor(repetitions: int) -> Iterator[ResultRow]:
    """How much of an iteration's time its matrix products and gathers would take alone, and the list of them."""
    with tempfile.TemporaryDirectory() as folder:
        iteration = Iteration(Path(folder))
        whole = repeat(lambda: iteration.ours(1), repetitions)
        alone = floor(iteration)
    total = sum(alone.values())
    shares = tuple(100.0 * total / seconds for seconds in whole)
    yield median_row("semantic stage, speed as a part of its floor's", shares, 50.0, "%")
    for kind, taken in alone.items():
        name = f"semantic stage, {kind} of one iteration alone"
        yield ResultRow(name, 1e3 * taken, None, "ms", False, None, (0,), COMMAND)


class Recorder(TorchDispatchMode):
    """Keeps copies of the arguments of every matrix product and gather that runs within it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, Callable[[], Any]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Runs the operator, and remembers it."""
        kwargs = kwargs or {}
        kinds = {"products": PRODUCTS, "gathers": GATHERS}
        for kind, operators in kinds.items():
            if func.overloadpacket in operators:
                kept = [each.detach().clone() if isinstance(each, Tensor) else each for each in args]
                self.calls.append((kind, partial(func, *kept, **kwargs)))
        return func(*args, **kwargs)


def floor(iteration: Iteration) -> dict[str, float]:
    """Seconds of the parts of one iteration, each the best of several runs alone, by kind.

    A look-up counts as much as PyTorch's own gather of the same rows where that is quicker than ours.
    """
    samples, batch = semantic_batch(iteration.table, iteration.bank, stage2.RAYS, stage2.PATCHES, stage2.SIDE)
    field, optimizer = iteration.field, iteration.optimizer
    iteration.step(field.render(samples), batch, optimizer)
    with Recorder() as recorder:
        iteration.step(field.render(samples), batch, optimizer)
    alone = {"products": 0.0, "gathers": 0.0}
    for kind, call in recorder.calls:
        alone[kind] += best(call)
    views, uv = batch["views"], torch.rand(len(samples), 2)
    text, patch = iteration.bank.text_store, iteration.bank.patch_store
    assert patch is not None
    alone["teachers' look-ups"] = sum(
        min(best(partial(store.lookup, views, uv)), best(gather_cells(store, len(samples)))) for store in (text, patch)
    )
    flat = samples.points.reshape(-1, 3)
    alone["planes' look-ups"] = sum(
        min(best(there_and_back(planes, flat)), best(gather_entries(planes, len(flat))))
        for planes in (field.latent, field.selection_planes)
    )
    return alone


def there_and_back(planes: Planes, points: Tensor) -> Callable[[], object]:
    """A look-up and its gradient."""
    toward = torch.ones(len(points), planes.dim)
    return lambda: torch.autograd.grad(planes(points), list(planes.grids), toward)


def gather_cells(store: FeatureStore, rays: int) -> Callable[[], object]:
    """The rows that a look-up of as many rays reads: four cells at every scale."""
    scales, rows, columns, dim = store.view(0).shape
    table = torch.zeros(len(store) * scales * rows * columns, dim, dtype=torch.float16)
    chosen = torch.randint(len(table), (rays * scales * 4,))
    return lambda: table.index_select(0, chosen)


def gather_entries(planes: Planes, points: int) -> Callable[[], object]:
    """The rows that a look-up reads, four entries in each plane, and that its gradient adds to."""
    tables = [grid.detach().flatten(0, 2) for grid in planes.grids]
    chosen = [torch.randint(len(table), (points * 12,)) for table in tables]

    def there_and_back_alone() -> None:
        for table, rows in zip(tables, chosen, strict=True):
            torch.zeros_like(table).index_add_(0, rows, table.index_select(0, rows))

    return there_and_back_alone


def best(call: Callable[[], object]) -> float:
    """Least seconds of several calls."""
    return min(seconds(call) for _ in range(BEST_OF))
