"""Tables of results. Rows are measured, never typed: this module is the only writer of them."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from ovs3d.evaluation.report import header, write_json


@dataclass(frozen=True)
class ResultRow:
    """One measured number.

    `value` and `spread` (standard deviation over `seeds`, or over scenes, where `name` tells so) are in `unit`; None is
    "not measured". `command` prints it.
    """

    name: str
    value: float | None
    target: float | None
    unit: str
    higher_is_better: bool
    spread: float | None
    seeds: tuple[int, ...]
    command: str

    @property
    def reached(self) -> bool | None:
        """Whether the value is at least as good as the target; None without a value or a target."""
        if self.value is None or self.target is None or math.isnan(self.value):
            return None
        return self.value >= self.target if self.higher_is_better else self.value <= self.target


def write_results(path: Path, rows: Sequence[ResultRow], page: Path | None = None, preface: str = "") -> None:
    """Writes rows to docs/results/<topic>.json, and as a table to read to `page`, by default <topic>.md beside it."""
    write_json(path, {"rows": [asdict(row) for row in rows]})
    (page or path.with_suffix(".md")).write_text(preface + results_markdown(rows), encoding="utf-8")


def read_results(path: Path) -> list[ResultRow]:
    """Rows that `write_results` wrote on this machine; none where there is no file, or one of another machine."""
    if not path.exists():
        return []
    written = json.loads(path.read_text(encoding="utf-8"))
    rows = written["rows"] if written["header"]["machine"] == header()["machine"] else []
    return [ResultRow(**{**row, "seeds": tuple(row["seeds"])}) for row in rows]


def results_markdown(rows: Sequence[ResultRow]) -> str:
    """The machine, and the rows as a table in Markdown; targets that are missed are in bold."""
    content = header()
    machine, versions = content["machine"], content["versions"]
    made_with = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['gpu'] or 'no GPU'}; {made_with}.",
        "The spread is a standard deviation over the runs, whose seeds or turns are counted; or over scenes, where",
        "a row tells their number.",
        "",
        "| what | value | spread | target | unit | runs | command |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        value = f"**{_number(row.value)}**" if row.reached is False else _number(row.value)
        cells = (row.name, value, _number(row.spread), _target(row), row.unit, len(row.seeds), f"`{row.command}`")
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def results_table(rows: Sequence[ResultRow], title: str = "") -> Table:
    """The rows as a table for the terminal; targets that are missed stand in red."""
    table = Table(title=title or None)
    table.add_column("name")
    for column in ("value", "target", "unit", "seeds"):
        table.add_column(column, justify="left" if column == "unit" else "right")
    for row in rows:
        spread = f" ± {_number(row.spread)}" if row.spread is not None else ""
        colour = {None: "none", True: "green", False: "red"}[row.reached]
        value = f"[{colour}]{_number(row.value)}{spread}[/{colour}]"
        table.add_row(escape(row.name), value, _target(row), escape(row.unit), str(len(row.seeds)))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4g}"


def _target(row: ResultRow) -> str:
    return "-" if row.target is None else f"{'>=' if row.higher_is_better else '<='} {_number(row.target)}"
