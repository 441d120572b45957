"""Runs the console examples of docs/your-own-scene.md; keeps what they print, how long they take and their memory."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import tyro
from nerfstudio.utils.rich_utils import CONSOLE

from tools.benchmarks.processes import Usage, run_measured

GUIDE = Path("docs/your-own-scene.md")
EXAMPLE = re.compile(r"(?<=^```console\n)\$ (?P<command>(?:.*\\\n)*.*\n)(?P<output>(?:(?!```).*\n)*)", re.MULTILINE)
"""A block of the guide: a command, which may go over several lines, and what it printed."""
LONGEST = 30
"""Lines of output that are shown whole; of more, the last `LAST`."""
LAST = 12
WIDTH = 110
"""Of the terminal that the commands see, in characters."""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""What a terminal would paint with."""
PROGRESS = "━"
"""What a bar of rich is drawn with."""


def shown(output: str, folder: Path) -> str:
    """What the guide shows of an output: no colours, no progress bars, no folder of this machine."""
    plain = COLOURS.sub("", output).replace(f"{folder}/", "")
    lines = [line.rstrip() for line in plain.split("\n")]
    lines = [line for line in lines if line.strip() and PROGRESS not in line]
    if len(lines) > LONGEST:
        lines = ["...", *lines[-LAST:]]
    return "".join(f"{line}\n" for line in lines)


def run_command(command: str, folder: Path) -> tuple[str, Usage]:
    """Runs a command in a shell and returns what it printed, and its cost.

    Raises:
        SystemExit: the command failed; its output is in the message.
    """
    settings = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb", "PYTHONWARNINGS": "ignore"}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done, usage = run_measured(["bash", "-c", command], settings, cwd=folder, **streams)
    if done.returncode != 0:
        raise SystemExit(f"{command}failed with status {done.returncode}:\n{done.stdout}")
    return done.stdout, usage


def refreshed(text: str, folder: Path, run: Callable[[str, Path], tuple[str, Usage]] = run_command) -> str:
    """The guide with the outputs that its examples have now.

    Args:
        text: the guide.
        folder: where its commands are run.
        run: runs one of them, as `run_command` does.
    """

    def example(found: re.Match[str]) -> str:
        command = found["command"]
        output, usage = run(command, folder)
        CONSOLE.print(f"{usage.seconds:.0f} s: {command.splitlines()[0]}", highlight=False)
        return f"$ {command}{shown(output, folder)}# {usage.seconds:.0f} s, {usage.peak_gb:.1f} GB at most\n"

    return EXAMPLE.sub(example, text)


def main(guide: Path = GUIDE) -> None:
    """Writes the guide with the outputs of its commands.

    Args:
        guide: the file; its commands are run in the folder from which this is called, in order.
    """
    guide.write_text(refreshed(guide.read_text(encoding="utf-8"), Path.cwd()), encoding="utf-8")


if __name__ == "__main__":
    tyro.cli(main)
