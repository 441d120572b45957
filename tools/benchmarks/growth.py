"""Rows of growth: how time and memory grow with views, pixels and classes; and the memory of large scenes."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from ovs3d.evaluation.results import ResultRow
from tools.benchmarks.processes import Usage, run
from tools.benchmarks.synthetic import word_list, write_features, write_scene
from tools.benchmarks.timing import COMMAND

DIM, STEPS, GEOMETRY_STEPS = 512, 60, 30
WIDTH, HEIGHT = 1440, 1080
TIMES = (1, 2, 4)
CLASSES = (8, 64, 512)


def growth() -> Iterator[ResultRow]:
    """Training of a few steps on 1, 2 and 4 times the views and pixels, and with more classes.

    What a run on next to nothing takes, start-up and compiling above all, is subtracted on both sides, but for the
    memory of more classes, whose limit is one of the whole.
    """
    fixed = train(2, 32, 24, 2)
    views = [above(fixed, train(20 * times, 320, 240, CLASSES[0])) for times in TIMES]
    pixels = [above(fixed, train(20, 320 * times, 240, CLASSES[0])) for times in TIMES]
    classes = [train(20, 320, 240, count) for count in CLASSES]
    for name, usages in (("views", views), ("pixels", pixels)):
        for usage, times in zip(usages[1:], TIMES[1:], strict=True):
            yield row(f"seconds of training with {times} x the {name}", usage.seconds / usages[0].seconds, times)
            yield row(f"memory of training with {times} x the {name}", usage.peak_gb / usages[0].peak_gb, times)
    for usage, count in zip(classes[1:], CLASSES[1:], strict=True):
        name = f"of training with {count} classes against {CLASSES[0]}"
        yield row(f"seconds {name}", above(fixed, usage).seconds / above(fixed, classes[0]).seconds, 2.0)
        yield row(f"peak memory {name}", usage.peak_gb / classes[0].peak_gb, 1.5)


def above(fixed: Usage, usage: Usage) -> Usage:
    """What a run takes more than another one."""
    return Usage(usage.seconds - fixed.seconds, usage.peak_gb - fixed.peak_gb)


def large() -> Iterator[ResultRow]:
    """Peak memory on many views of 1440x1080."""
    usage = train(300, WIDTH, HEIGHT, CLASSES[0])
    name = "training on 300 views of 1440x1080, peak memory"
    yield ResultRow(name, usage.peak_gb, 8.0, "GB", False, None, (0,), COMMAND)
    few, many = extract(200), extract(2000)
    name = "extraction over 2000 views of 1440x1080, without a network's own memory, peak"
    yield ResultRow(name, many.peak_gb, None, "GB", False, None, (0,), COMMAND)
    yield row("the same against 200 views", many.peak_gb / few.peak_gb, 1.05)


def extract(views: int) -> Usage:
    """Extraction of as many views."""
    with tempfile.TemporaryDirectory() as folder:
        scene = write_scene(Path(folder) / "scene", views, WIDTH, HEIGHT)
        return run(["python", "-m", "tools.benchmarks.many_views", str(scene)], Path(folder) / "cache")


def train(views: int, width: int, height: int, classes: int) -> Usage:
    """A few steps of both stages on a scene of that size."""
    with tempfile.TemporaryDirectory() as folder:
        scene = write_scene(Path(folder) / "scene", views, width, height)
        features = write_features(Path(folder) / "features", scene, DIM, classes)
        command = ["ns-train", "ovs3d-tiny", "--data", str(scene), "--features", str(features), "--classes",
                   *word_list(classes), "--output-dir", folder, "--vis", "tensorboard", "--max-num-iterations",
                   str(STEPS), "--geometry-steps", str(GEOMETRY_STEPS)]  # fmt: skip
        return run(command, Path(folder) / "cache")


def row(name: str, ratio: float, limit: float) -> ResultRow:
    """A ratio that should stay below a limit."""
    return ResultRow(name, ratio, limit, "x", False, None, (0,), COMMAND)
