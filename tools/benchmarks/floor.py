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
from tools.benchmarks.stage2 import PATCHES, RAYS, SIDE, Iteration
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
    """Seconds of the parts of one iteration, each the best of several runs alone, by kind."""
    iteration.ours(1)
    with Recorder() as recorder:
        iteration.ours(1)
    alone = {"products": 0.0, "gathers": 0.0}
    for kind, call in recorder.calls:
        alone[kind] += best(call)
    points, _, batch = semantic_batch(iteration.table, iteration.bank, RAYS, PATCHES, SIDE)
    places = (batch["views"], iteration.table.uv[: len(points)])
    patch_store = iteration.bank.patch_store
    assert patch_store is not None
    alone["teachers' look-ups"] = best(lambda: iteration.bank.text_store.lookup(*places))
    alone["teachers' look-ups"] += best(lambda: patch_store.lookup(*places))
    field, flat = iteration.field, points.reshape(-1, 3)
    alone["planes' look-ups"] = best(there_and_back(field.latent, flat))
    alone["planes' look-ups"] += best(there_and_back(field.selection_planes, flat))
    return alone


def there_and_back(planes: Planes, points: Tensor) -> Callable[[], object]:
    """A look-up and its gradient."""
    toward = torch.ones(len(points), planes.dim)
    return lambda: torch.autograd.grad(planes(points), list(planes.grids), toward)


def best(call: Callable[[], object]) -> float:
    """Least seconds of several calls."""
    return min(seconds(call) for _ in range(BEST_OF))
