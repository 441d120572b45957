"""The frame of `ovs3d`: help, spelling, exit statuses, and that it stays light."""

import dataclasses
import importlib
import json
import os
import shutil
import subprocess
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest

from ovs3d import __version__
from ovs3d.cli.command import Command, Report
from ovs3d.cli.main import COMMANDS, SPINS, main
from ovs3d.errors import UserError


@pytest.mark.parametrize(("own", "expected"), [(None, SPINS), ("7", "7")])
def test_idle_threads_leave_the_cores_to_others(
    own: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", own or "")
    if own is None:
        monkeypatch.delenv("GOMP_SPINCOUNT")
    assert main(["eval", str(tmp_path / "nowhere")]) == 2
    assert os.environ["GOMP_SPINCOUNT"] == expected


@dataclasses.dataclass
class Sample(Command):
    """A subcommand that ends in the way it is told."""

    ending: str
    """How to end."""

    def run(self) -> Report:
        sys.stdout.write("For people.\n")
        match self.ending:
            case "user-error":
                raise UserError("photo [bold].png is unreadable; replace it.")
            case "interrupt":
                raise KeyboardInterrupt
            case "fault":
                raise RuntimeError("ours")
            case "host":
                raise SystemExit(2) from UserError("no such folder.")
            case number:
                return Report({"miou": np.float32(0.5), "psnr": float("nan"), "out": Path("a.mp4")}, int(number))


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("ovs3d_sample_command")
    module.__dict__["Sample"] = Sample
    monkeypatch.setitem(sys.modules, "ovs3d_sample_command", module)
    frame = importlib.import_module("ovs3d.cli.main")
    monkeypatch.setattr(frame, "COMMANDS", {"sample": ("ovs3d_sample_command:Sample", "A sample."), **COMMANDS})


@pytest.mark.parametrize(("ending", "status"), [("0", 0), ("3", 3), ("user-error", 2), ("interrupt", 130)])
@pytest.mark.usefixtures("sample")
def test_exit_status(ending: str, status: int) -> None:
    assert main(["sample", "--ending", ending]) == status


@pytest.mark.usefixtures("sample")
def test_user_error_prints_its_message_alone(capsys: pytest.CaptureFixture[str]) -> None:
    main(["sample", "--ending", "user-error"])
    printed = capsys.readouterr()
    assert printed.err == "photo [bold].png is unreadable; replace it.\n"
    assert printed.out == "For people.\n"


@pytest.mark.usefixtures("sample")
def test_our_own_fault_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="ours"):
        main(["sample", "--ending", "fault"])


@pytest.mark.usefixtures("sample")
def test_developers_warnings_of_dependencies_are_hidden_and_ours_are_not() -> None:
    with warnings.catch_warnings(record=True) as shown:
        main(["sample", "--ending", "0"])
        for text, category, module in (
            ("Using a non-tuple sequence is old", UserWarning, "nerfstudio.cameras.cameras"),
            ("jit is old", FutureWarning, "torch.jit"), ("layers are old", DeprecationWarning, "timm.models.layers"),
            ("driver too old", UserWarning, "torch.cuda"), ("ours", UserWarning, "ovs3d.scene"),
        ):  # fmt: skip
            warnings.warn_explicit(text, category, "file.py", 1, module=module)
    assert [str(warning.message) for warning in shown] == ["driver too old", "ours"]


@pytest.mark.usefixtures("sample")
def test_help_of_a_command_has_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["sample", "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "ovs3d sample" in printed and "How to end." in printed
    assert "A subcommand that ends in the way it is told." in printed


@pytest.mark.usefixtures("sample")
def test_wrong_flag_exits_with_2() -> None:
    with pytest.raises(SystemExit) as stop:
        main(["sample", "--endings", "0"])
    assert stop.value.code == 2


def test_misspelt_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rendr"]) == 2
    assert "'render'" in capsys.readouterr().err


def test_strange_command_is_answered_with_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["xyzzy"]) == 2
    printed = capsys.readouterr().err
    assert "xyzzy" in printed and all(name in printed for name in COMMANDS)


def test_no_command_prints_the_help_and_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = capsys.readouterr().out
    assert all(name in printed for name in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ovs3d {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from ovs3d.cli import main; status = main(['--help']);"
        "heavy = {'torch', 'numpy', 'nerfstudio', 'tyro'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for name, (_, summary) in COMMANDS.items():
        assert any(line.split() == [name, *summary.split()] for line in lines)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_has_a_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"ovs3d {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ending", "status", "expected"),
    [
        ("0", 0, {"miou": 0.5, "psnr": None, "out": "a.mp4"}),
        ("3", 3, {"miou": 0.5, "psnr": None, "out": "a.mp4"}),
        ("user-error", 2, {"error": "photo [bold].png is unreadable; replace it."}),
        ("host", 2, {"error": "no such folder."}),
        ("interrupt", 130, {"error": "Interrupted."}),
    ],
)
@pytest.mark.usefixtures("sample")
def test_with_json_stdout_is_one_document(
    ending: str, status: int, expected: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "--json", "--ending", ending]) == status
    printed = capsys.readouterr()
    assert json.loads(printed.out) == expected
    assert "For people." in printed.err


@pytest.mark.usefixtures("sample")
def test_with_json_our_own_fault_is_told_and_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="ours"):
        main(["sample", "--ending", "fault", "--json"])
    assert json.loads(capsys.readouterr().out) == {"error": "RuntimeError: ours"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["sample", "--endings", "0"], "--endings"), (["sample"], "--ending"), (["rendr"], "'render'")],
    ids=["unknown flag", "missing flag", "unknown command"],
)
@pytest.mark.usefixtures("sample")
def test_with_json_wrong_arguments_are_an_error_of_one_line(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert named in error and "\n" not in error and "│" not in error


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_flag_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help", "--json"])
    assert "--json" in capsys.readouterr().out


def test_what_other_programs_print_stays_out_of_the_document() -> None:
    program = (
        "import subprocess, sys\n"
        "from ovs3d.cli.command import Command, Report, report_as_json\n"
        "class Loud(Command):\n"
        "    def run(self):\n"
        "        subprocess.run(['echo', 'loud'], check=True)\n"
        "        return Report({'done': True})\n"
        "sys.exit(report_as_json(Loud))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"done": True} and done.stderr == "loud\n"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_names_commands_and_flags(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "ovs3d"
    program = (
        f"import sys; from ovs3d.cli import main; status = main(['--tyro-write-completion', '{shell}', '{script}']);"
        "sys.exit('imported torch' if 'torch' in sys.modules else status)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    text = script.read_text()
    assert all(name in text for name in COMMANDS)
    assert "--baseline-2d" in text and "held-out" in text
    assert '[[ -z "$completions" ||' in text, "files are completed where nothing else is"
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n", str(script)], check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["rend"], ["render"]),
        (["eval", "--basel"], ["--baseline-2d"]),
        (["render", "x", "--show", "over"], ["overlay"]),
        (["eval", "her"], []),
    ],
    ids=["command", "flag", "choice", "file"],
)
def test_bash_completes_without_importing_anything_of_ours(
    typed: list[str], offered: list[str], tmp_path: Path
) -> None:
    script = tmp_path / "ovs3d"
    assert main(["--tyro-write-completion", "bash", str(script)]) == 0
    program = f"source {script}; COMP_WORDS=(ovs3d {' '.join(typed)}); COMP_CWORD={len(typed)}; _tyro_ovs3d;"
    shown = 'for each in "${COMPREPLY[@]}"; do echo $each; done; complete -p ovs3d'
    bare = {"PATH": "/usr/bin:/bin"}  # A Python without our packages.
    done = subprocess.run(["bash", "-c", program + shown], capture_output=True, text=True, check=True, env=bare)
    *found, registered = done.stdout.splitlines()
    assert found == offered and done.stderr == ""
    assert "-o default" in registered, "where nothing is offered, bash completes names of files"


def test_wrong_shell_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tyro-write-completion", "csh", "out"]) == 2
    assert "bash|zsh" in capsys.readouterr().err
