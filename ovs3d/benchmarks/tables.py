"""Measured numbers of a benchmark's scenes: as rows of results, and as a table beside published numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from ovs3d.benchmarks.published import Published
from ovs3d.evaluation.results import ResultRow


@dataclass(frozen=True)
class Measured:
    """One quantity, in percent, of every scene that was measured.

    `heading` and `protocol` are for readers; `target` is the published column measured in the same way, if any.
    """

    name: str
    heading: str
    protocol: str
    scenes: Mapping[str, float]
    target: Published | None = None


def mean_over(values: Mapping[str, float], scenes: Sequence[str]) -> float | None:
    """The mean over `scenes`, None where one of them was not measured: means over fewer cannot be compared."""
    return mean(values[scene] for scene in scenes) if all(scene in values for scene in scenes) else None


def result_rows(measured: Sequence[Measured], mean_of: Sequence[str], seed: int, command: str) -> list[ResultRow]:
    """A row for every measured number, and one for every mean over `mean_of`."""
    rows = []
    for quantity in measured:
        target = quantity.target
        values: dict[str, float | None] = {"mean": mean_over(quantity.scenes, mean_of), **quantity.scenes}
        goals = {} if target is None else {"mean": target.mean, **target.scenes}
        for scene, value in values.items():
            name = f"{scene}, {quantity.name}"
            rows.append(ResultRow(name, value, goals.get(scene), "%", True, None, (seed,), command))
    return rows


def comparison(
    title: str, measured: Sequence[Measured], published: Sequence[Published], mean_of: Sequence[str]
) -> Group:
    """The scenes line by line, published columns first; notes tell what each column was measured under."""
    notes = [f"{column.name}: {column.protocol} ({column.source})." for column in published]
    notes += [f"{quantity.heading}: {quantity.protocol}." for quantity in measured]
    table = Table(title=escape(title))
    table.add_column("scene")
    for heading in (*(column.name for column in published), *(quantity.heading for quantity in measured)):
        table.add_column(escape(heading), justify="right")
    known = [scene for quantity in measured for scene in quantity.scenes]
    for scene in dict.fromkeys([*mean_of, *known]):
        numbers = [column.scenes.get(scene) for column in (*published, *measured)]
        table.add_row(escape(scene), *map(_percent, numbers))
    means = [column.mean for column in published] + [mean_over(quantity.scenes, mean_of) for quantity in measured]
    table.add_section()
    table.add_row(f"mean of {len(mean_of)}", *map(_percent, means))
    return Group(table, *map(escape, notes))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
