"""Where an iteration of either stage spends its time."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from tools.benchmarks.methods import ours
from tools.benchmarks.stage2 import Iteration

ROWS = 40


def write_profile(room: Path, path: Path) -> None:
    """Writes PyTorch's tables of operators, longest first, of 20 iterations of stage 1 and 5 of stage 2."""
    loop = ours(room, 320)
    tables = ["geometry stage, 20 iterations", table_of(lambda: loop.iterate(20))]
    with tempfile.TemporaryDirectory() as folder:
        iteration = Iteration(Path(folder))
        tables += ["semantic stage, 5 iterations", table_of(lambda: iteration.ours(5))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(tables) + "\n", encoding="utf-8")


def table_of(call: Callable[[], object]) -> str:
    """Operators of a call, after one that does not count."""
    call()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        call()
    return profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=ROWS)
