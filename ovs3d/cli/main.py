"""Finds and runs a subcommand of `ovs3d`.

Only the module of the subcommand that was asked for is imported, so that the list of subcommands and the answer to a
misspelt one come at once. A subcommand is a `Command`, a dataclass whose fields tyro turns into flags.
"""

import difflib
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ovs3d import __version__
from ovs3d.cli.command import EXIT_INTERRUPTED, EXIT_USER_ERROR, Command, report_as_json, wants_json
from ovs3d.errors import UserError
from ovs3d.files import whole_file

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("ovs3d.cli.demo:Demo", "Train, evaluate and render the bundled scene, without network or GPU."),
    "prompts": ("ovs3d.cli.prompts:Prompts", "Show what the teacher makes of the words, before any training."),
    "labels": ("ovs3d.cli.labels:Labels", "Take over the label pictures of ScanNet, Replica and others."),
    "extract": ("ovs3d.cli.extract:Extract", "Compute the teachers' features of a scene, resuming where it stopped."),
    "eval": ("ovs3d.cli.eval:Eval", "Measure mIoU and PSNR of a run on its held-out views."),
    "query": ("ovs3d.cli.query:QueryCommand", "Look for something: by words, a picture, a click or a point."),
    "render": (
        "ovs3d.cli.render:Render",
        "Write a video of a run: its classes, a query, parts kept or left out.",
    ),
    "export": ("ovs3d.cli.export:Export", "Write masks, labelled points, meshes and boxes for other programs."),
    "reclass": ("ovs3d.cli.reclass:Reclass", "Give a run other classes: trains its semantics alone anew."),
    "bench": ("ovs3d.cli.bench:Bench", "Train and measure the scenes of a public benchmark beside published numbers."),
    "doctor": ("ovs3d.cli.doctor:Doctor", "Tell what works on this machine, and how to mend what does not."),
}
"""Name -> (module:Class, one line of help), in the order of the help."""

SPINS = "10000"
"""How often idle threads of PyTorch look for work before they sleep; read when torch is imported. With GNU's default,
30 times as much, two programs on the same cores slow each other down not by half but several times."""
COMPLETION_FLAG, SHELLS = "--tyro-write-completion", ("bash", "zsh")
FILES_WHERE_NOTHING_FITS = (
    ('if [[ "$completions" == "__TYRO', 'if [[ -z "$completions" || "$completions" == "__TYRO'),
    ("\ncomplete -F", "\ncomplete -o default -F"),
)
"""Changes of tyro's scripts: they complete files after flags, but not arguments without one, such as RUN."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `ovs3d argv` (by default the process's arguments) and returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if len(arguments) == 0 or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_overview())
        return 0 if len(arguments) > 0 else EXIT_USER_ERROR
    if arguments[0] == "--version":
        sys.stdout.write(f"ovs3d {__version__}\n")
        return 0
    if wants_json(arguments):
        return report_as_json(lambda: _parse(arguments[0], arguments[1:]))
    try:
        if arguments[0] == COMPLETION_FLAG:
            return _write_completion(arguments[1:])
        return _parse(arguments[0], arguments[1:]).run().status
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return EXIT_INTERRUPTED


def _parse(name: str, arguments: Sequence[str]) -> Command:
    if name not in COMMANDS:
        raise UserError(_unknown(name))
    _log_to_stderr()
    _silence_dependencies()
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    import tyro

    return tyro.cli(_load(name), prog=f"ovs3d {name}", args=arguments)


def _load(name: str) -> type[Command]:
    module_name, _, class_name = COMMANDS[name][0].partition(":")
    return getattr(importlib.import_module(module_name), class_name)


def _write_completion(arguments: Sequence[str]) -> int:
    """Writes the script with which a shell completes commands, flags and files, without importing anything of ours."""
    if len(arguments) != 2 or arguments[0] not in SHELLS:
        raise UserError(f"Completion is written by: ovs3d {COMPLETION_FLAG} {'|'.join(SHELLS)} FILE.")
    from tyro.extras import subcommand_cli_from_dict

    commands, script = {name: _load(name) for name in COMMANDS}, Path(arguments[1])
    with whole_file(script) as draft:
        with suppress(SystemExit):  # So the parser ends when the script is written.
            subcommand_cli_from_dict(commands, prog="ovs3d", args=[COMPLETION_FLAG, arguments[0], str(draft)])
        text = draft.read_text()
        for old, new in FILES_WHERE_NOTHING_FITS:
            text = text.replace(old, new)
        draft.write_text(text)
    return 0


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
            "With `--json` a command prints one JSON document on stdout and everything else on stderr.",
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


def _silence_dependencies() -> None:
    """Hides what torch and nerfstudio say to their own developers, page after page, unless somebody asked for it."""
    if sys.warnoptions:
        return
    for category in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category, module=r"(torch|nerfstudio|timm)\.")
    warnings.filterwarnings("ignore", message="Using a non-tuple sequence", module=r"nerfstudio\.")
