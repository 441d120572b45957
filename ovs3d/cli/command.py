"""What subcommands of `ovs3d` have in common: the flags `--json` and `--device`, and a report of what they did."""

import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import TypeVar

from ovs3d.errors import UserError
from ovs3d.files import json_text

Parsed = TypeVar("Parsed")

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Report:
    """What a command did: numbers that it measured and paths of what it wrote, for programs to read."""

    content: Mapping[str, object] = field(default_factory=dict)
    status: int = 0
    """Exit status."""


@dataclass(kw_only=True)
class Command:
    """A subcommand; its fields are its flags."""

    json: bool = False
    """Print one JSON document on stdout, and everything else on stderr; errors are {"error": "..."}."""

    def run(self) -> Report:
        """Does the work and tells of it as it goes on; heavy modules are imported here."""
        raise NotImplementedError


def chosen_device(named: str | None) -> str:
    """What a flag `--device` means: the GPU where there is one, unless it names another device.

    Raises:
        UserError: this machine has no such device.
    """
    import torch

    from ovs3d.config import best_device

    if named is None:
        return best_device()
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    there = ["cuda", *gpus, "cpu"] if gpus else ["cpu"]
    if named not in there:
        raise UserError(f"There is no device {named} here; give --device {' or '.join(there)}.")
    return named


def wants_json(arguments: list[str]) -> bool:
    """Whether `--json` stands among the command's own flags; what follows `--` is not, and a help is none."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in own and not {"-h", "--help"} & set(own)


def report_as_json(parse: Callable[[], Command]) -> int:
    """Runs a command, writes its report or its error to stdout as one JSON document, and returns the exit status."""
    fault: BaseException | None = None
    with everything_to_stderr():
        try:
            report = parsed_quietly(parse).run()
        except UserError as error:
            report = failed(str(error), EXIT_USER_ERROR)
        except KeyboardInterrupt:
            report = failed("Interrupted.", EXIT_INTERRUPTED)
        except SystemExit as stopped:  # The host's entry, which has told the cause on stderr.
            status = stopped.code if isinstance(stopped.code, int) else 1
            report = Report({"error": str(stopped.__cause__ or f"Ended with status {status}.")}, status)
        except Exception as error:  # A fault of ours: its traceback follows.
            report, fault = Report({"error": f"{type(error).__name__}: {error}"}, 1), error
    sys.stdout.write(json_text(report.content) + "\n")
    sys.stdout.flush()
    if fault is not None:
        raise fault
    return report.status


def failed(message: str, status: int) -> Report:
    """The report of an error, which people read on stderr."""
    sys.stderr.write(f"{message}\n")
    return Report({"error": message}, status)


def parsed_quietly(parse: Callable[[], Parsed]) -> Parsed:
    """What `parse` returns; if it ends the program, an error of what it said on stderr, without the frame around it."""
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return parse()
    except SystemExit as stopped:
        words = said.getvalue().translate(dict.fromkeys(map(ord, "╭─╮│╰╯"), " ")).split()
        raise UserError(" ".join(words)) from stopped


@contextmanager
def everything_to_stderr() -> Iterator[None]:
    """Sends to stderr what is printed on stdout, also what libraries in C and other programs print."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 1)
        os.close(kept)
