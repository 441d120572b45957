"""Rows of the geometry stage: throughput, and time to a held-out PSNR, against nerfacto."""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from ovs3d.evaluation.results import ResultRow
from tools.benchmarks.methods import RAYS, Loop, nerfacto, ours
from tools.benchmarks.processes import run
from tools.benchmarks.timing import COMMAND, median_row, take_turns

WARM_UP = 20
WANTED_PSNR = 25.0
LIMIT = 15.0
"""How many times our time nerfacto is given."""
OTHER_WORDS = ("a ring", "a bottle", "a red thing", "wall", "floor")
"""For the bundled scene, in the place of its own."""


def throughput(data: Path, max_side: int, repetitions: int) -> Iterator[ResultRow]:
    """Rays per second of training."""
    first, second = ours(data, max_side), nerfacto(data, max_side)
    first.iterate(WARM_UP)
    # An iteration of nerfacto takes many times as long, so that it gets fewer in a turn.
    many, few = 50, 5
    pairs = take_turns(lambda: first.iterate(many), lambda: second.iterate(few), repetitions)
    rays = tuple(many * RAYS / own for own in pairs.ours)
    theirs = tuple(few * RAYS / other for other in pairs.theirs)
    ratios = tuple(ratio * many / few for ratio in pairs.ratios)
    name = f"training throughput on the {data.name} scene"
    yield median_row(f"geometry stage, {name} against nerfacto", ratios, 25.0, "x")
    yield median_row(f"geometry stage, {name}", rays, None, "rays/s")
    yield median_row(f"nerfacto (torch), {name}", theirs, None, "rays/s")


def kernels(data: Path, max_side: int, repetitions: int) -> Iterator[ResultRow]:
    """What the kernels in C gain in training over the same look-ups in PyTorch."""
    compiled, plain = ours(data, max_side), ours(data, max_side)

    def without_kernels() -> None:
        with mock.patch("ovs3d.native.grids.library", lambda: None):
            plain.iterate(20)

    pairs = take_turns(lambda: compiled.iterate(20), without_kernels, repetitions)
    yield median_row("geometry stage, kernels in C against PyTorch", pairs.ratios, None, "x")


def time_to_psnr(room: Path) -> Iterator[ResultRow]:
    """Seconds of training until the held-out views reach a PSNR; measuring it does not count."""
    own = race(ours(room, 320), every=100, limit=float("inf"))
    assert own is not None
    other = race(nerfacto(room, 320), every=100, limit=LIMIT * own)
    ratio = LIMIT if other is None else other / own
    name = f"geometry stage, time to {WANTED_PSNR:.0f} dB held-out against nerfacto"
    if other is None:
        name += f" (which did not reach it in {LIMIT * own:.0f} s)"
    yield ResultRow(name, ratio, LIMIT, "x", True, None, (0,), COMMAND)
    yield ResultRow(
        f"geometry stage, time to {WANTED_PSNR:.0f} dB held-out", own, None, "s", False, None, (0,), COMMAND
    )


def race(loop: Loop, every: int, limit: float) -> float | None:
    """Seconds of training until the wanted PSNR; None if `limit` passes first."""
    spent = 0.0
    while spent < limit:
        began = time.perf_counter()
        loop.iterate(every)
        spent += time.perf_counter() - began
        if loop.held_out_psnr() >= WANTED_PSNR:
            return spent
    return None


def demo(room: Path) -> Iterator[ResultRow]:
    """The whole demo with an empty cache: seconds after installation, and peak memory; then new words on its run."""
    with tempfile.TemporaryDirectory() as folder:
        out, cache = Path(folder) / "demo", Path(folder) / "cache"
        usage = run(["ovs3d", "demo", "--data", str(room), "--output-dir", folder], cache)
        training = json.loads((out / "summary.json").read_text(encoding="utf-8"))["training_seconds"]
        again = run(["ovs3d", "reclass", str(out / "ovs3d-tiny" / "seed-0"), "--classes", *OTHER_WORDS], cache)
    yield ResultRow("demo, seconds", usage.seconds, 360.0, "s", False, None, (0,), COMMAND)
    yield ResultRow("demo, peak memory", usage.peak_gb, 3.0, "GB", False, None, (0,), COMMAND)
    part = again.seconds / training
    yield ResultRow("new words on the run of the demo, part of its training time", part, 1 / 3, "", False, None, (0,),
                    COMMAND)  # fmt: skip
