"""Runs the console examples of docs/your-own-scene.md; keeps what they print, how long they take and their memory."""

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import tyro
from rich.console import Console

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


def run_measured(command: str, folder: Path) -> tuple[str, float, float]:
    """Runs a command in a shell.

    Returns:
        What it printed, seconds, and the most memory of it or of one of its children in gigabytes. Linux counts what
        this process holds as the child's, which is why nothing heavy is imported here.

    Raises:
        SystemExit: the command failed; its output is in the message.
    """
    settings = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb", "PYTHONWARNINGS": "ignore"}
    began = time.monotonic()
    with subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=os.environ | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command}failed with status {process.returncode}:\n{output}")
    return output, time.monotonic() - began, usage.ru_maxrss * 1024 / 1e9  # Linux counts KiB.


def refreshed(text: str, folder: Path, run: Callable[[str, Path], tuple[str, float, float]] = run_measured) -> str:
    """The guide with the outputs that its examples have now.

    Args:
        text: the guide.
        folder: where its commands are run.
        run: runs one of them, as `run_measured` does.
    """

    def example(found: re.Match[str]) -> str:
        command = found["command"]
        output, seconds, gigabytes = run(command, folder)
        Console().print(f"{seconds:.0f} s: {command.splitlines()[0]}", highlight=False)
        return f"$ {command}{shown(output, folder)}# {seconds:.0f} s, {gigabytes:.1f} GB at most\n"

    return EXAMPLE.sub(example, text)


def main(guide: Path = GUIDE) -> None:
    """Writes the guide with the outputs of its commands.

    Args:
        guide: the file; its commands are run in the folder from which this is called, in order.
    """
    guide.write_text(refreshed(guide.read_text(encoding="utf-8"), Path.cwd()), encoding="utf-8")


if __name__ == "__main__":
    tyro.cli(main)
