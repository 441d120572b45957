"""The frame of `ovs3d`: help, spelling, exit statuses, and that it stays light."""

import dataclasses
import importlib
import subprocess
import sys
import types

import pytest

from ovs3d import __version__
from ovs3d.cli.main import COMMANDS, main
from ovs3d.errors import UserError


@dataclasses.dataclass
class Sample:
    """A subcommand that ends in the way it is told."""

    ending: str
    """How to end."""

    def run(self) -> int | None:
        match self.ending:
            case "user-error":
                raise UserError("photo [bold].png is unreadable; replace it.")
            case "interrupt":
                raise KeyboardInterrupt
            case "fault":
                raise RuntimeError("ours")
            case "nothing":
                return None
            case number:
                return int(number)


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("ovs3d_sample_command")
    module.__dict__["Sample"] = Sample
    monkeypatch.setitem(sys.modules, "ovs3d_sample_command", module)
    frame = importlib.import_module("ovs3d.cli.main")
    monkeypatch.setattr(frame, "COMMANDS", {"sample": ("ovs3d_sample_command:Sample", "A sample."), **COMMANDS})


@pytest.mark.parametrize(
    ("ending", "status"), [("nothing", 0), ("0", 0), ("3", 3), ("user-error", 2), ("interrupt", 130)]
)
@pytest.mark.usefixtures("sample")
def test_exit_status(ending: str, status: int) -> None:
    assert main(["sample", "--ending", ending]) == status


@pytest.mark.usefixtures("sample")
def test_user_error_prints_its_message_alone(capsys: pytest.CaptureFixture[str]) -> None:
    main(["sample", "--ending", "user-error"])
    printed = capsys.readouterr()
    assert printed.err == "photo [bold].png is unreadable; replace it.\n"
    assert printed.out == ""


@pytest.mark.usefixtures("sample")
def test_our_own_fault_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="ours"):
        main(["sample", "--ending", "fault"])


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
