"""Finds and runs a subcommand of `ovs3d`.

Only the module of the subcommand that was asked for is imported, so that the list of subcommands and the answer to a
misspelt one come at once. A subcommand is a dataclass, whose fields tyro turns into flags, with a method
`run() -> int | None`.
"""

import difflib
import importlib
import logging
import sys
from collections.abc import Mapping, Sequence

from ovs3d import __version__
from ovs3d.errors import UserError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("ovs3d.cli.demo:Demo", "Train, evaluate and render the bundled scene, without network or GPU."),
    "prompts": ("ovs3d.cli.prompts:Prompts", "Show what the teacher makes of the words, before any training."),
    "labels": ("ovs3d.cli.labels:Labels", "Take over the label pictures of ScanNet, Replica and others."),
    "extract": ("ovs3d.cli.extract:Extract", "Compute the teachers' features of a scene, resuming where it stopped."),
    "eval": ("ovs3d.cli.eval:Eval", "Measure mIoU and PSNR of a run on its held-out views."),
    "query": ("ovs3d.cli.query:QueryCommand", "Look for something: by words, a picture, a click or a point."),
    "render": ("ovs3d.cli.render:Render", "Write the segmentation of a run as a video and as masks."),
    "export": ("ovs3d.cli.export:Export", "Write masks, labelled points, meshes and boxes for other programs."),
    "reclass": ("ovs3d.cli.reclass:Reclass", "Give a run other classes: trains its semantics alone anew."),
    "bench": ("ovs3d.cli.bench:Bench", "Train and measure the scenes of a public benchmark beside published numbers."),
    "doctor": ("ovs3d.cli.doctor:Doctor", "Tell what works on this machine, and how to mend what does not."),
}
"""Name -> (module:Class, one line of help), in the order of the help."""

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `ovs3d argv` (by default the process's arguments) and returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if len(arguments) == 0 or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_overview())
        return 0 if len(arguments) > 0 else EXIT_USER_ERROR
    if arguments[0] == "--version":
        sys.stdout.write(f"ovs3d {__version__}\n")
        return 0
    try:
        return _run(arguments[0], arguments[1:])
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return EXIT_INTERRUPTED


def _run(name: str, arguments: Sequence[str]) -> int:
    if name not in COMMANDS:
        raise UserError(_unknown(name))
    _log_to_stderr()
    import tyro

    target, _ = COMMANDS[name]
    module_name, _, class_name = target.partition(":")
    command = getattr(importlib.import_module(module_name), class_name)
    return tyro.cli(command, prog=f"ovs3d {name}", args=arguments).run() or 0


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: ovs3d COMMAND [flags]",
            "",
            "Open-vocabulary 3D segmentation from posed photographs and a few words.",
            "A scene is trained with nerfstudio's `ns-train ovs3d --data DIR --classes WORD ...`.",
            "",
            "commands:",
            *lines,
            "",
            "`ovs3d COMMAND --help` lists the flags of one command; `ovs3d --version` prints the version.",
            "",
        ]
    )


def _unknown(name: str) -> str:
    nearest = difflib.get_close_matches(name, COMMANDS, n=1)
    if len(nearest) > 0:
        return f"ovs3d has no command '{name}'; did you mean '{nearest[0]}'?"
    return f"ovs3d has no command '{name}'; the commands are {', '.join(COMMANDS)}."


def _log_to_stderr() -> None:
    """Shows our notes as plain lines, and leaves the loggers of other packages as they are."""
    logger = logging.getLogger("ovs3d")
    if len(logger.handlers) == 0:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
