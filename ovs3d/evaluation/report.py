"""JSON files and tables of results. Rows are measured, never typed: this module is the only writer of them."""

import dataclasses
import json
import math
import os
import platform
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import torch
from rich.markup import escape
from rich.table import Table

from ovs3d.errors import UserError


@dataclasses.dataclass(frozen=True)
class ResultRow:
    """One measured number.

    `value` and `spread` (standard deviation over `seeds`) are in `unit`; None is "not measured". `command` prints it.
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


def header() -> dict:
    """The machine, the versions and the commit that a result was made with."""
    machine = {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
    versions = {name: _version(name) for name in ("ovs3d", "torch", "nerfstudio")}
    return {"machine": machine, "versions": versions | {"python": platform.python_version()}, "commit": _commit()}


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Writes `content` under a `header` of machine, versions and commit, all at once or not at all.

    Numbers that are not finite become null; numpy and torch scalars become numbers, arrays become lists.
    """
    text = json.dumps(_plain({"header": header(), **content}), indent=2, allow_nan=False, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        # mkstemp makes the file private; results are for everybody that the folder is for.
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def write_results(path: Path, rows: Sequence[ResultRow]) -> None:
    """Writes rows to docs/results/<topic>.json."""
    write_json(path, {"rows": [dataclasses.asdict(row) for row in rows]})


def read_results(path: Path) -> list[ResultRow]:
    """Reads what `write_results` wrote.

    Raises:
        UserError: the file is missing, is not JSON, or its rows have other fields.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return [ResultRow(**{**row, "seeds": tuple(row["seeds"])}) for row in rows]
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; run the command that measures it first.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a file of results ({error}); delete it and measure again.") from error


def results_table(rows: Sequence[ResultRow], title: str = "") -> Table:
    """The rows as a table for the terminal; targets that are missed stand in red."""
    table = Table(title=title or None)
    table.add_column("name")
    for column in ("value", "target", "unit", "seeds"):
        table.add_column(column, justify="left" if column == "unit" else "right")
    for row in rows:
        spread = f" ± {_number(row.spread)}" if row.spread is not None else ""
        colour = {None: "none", True: "green", False: "red"}[row.reached]
        bound = ">=" if row.higher_is_better else "<="
        target = f"{bound} {_number(row.target)}" if row.target is not None else "-"
        value = f"[{colour}]{_number(row.value)}{spread}[/{colour}]"
        table.add_row(escape(row.name), value, target, escape(row.unit), str(len(row.seeds)))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4g}"


def _plain(value: object) -> object:
    """`value` in the types of JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):
        return _plain(value.tolist())  # pyright: ignore[reportAttributeAccessIssue]
    return str(value) if isinstance(value, Path) else value


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if len(names) > 0 else platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        # Windows has no sysconf.
        return None


def _commit() -> str | None:
    """The commit of the source tree, with "-dirty" where files differ from it; None outside of a source tree."""
    package = Path(__file__).resolve().parents[1]
    # An installed package may lie inside somebody else's repository, whose commit would mean nothing here.
    if not (package.parent / ".git").exists():
        return None
    command = ["git", "-C", str(package.parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
