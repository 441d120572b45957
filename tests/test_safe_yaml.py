"""The allow-list loader: nerfstudio's own files come back equal, everything else is refused."""

import copy
import logging
from pathlib import Path

import pytest
import yaml
from nerfstudio.configs.method_configs import all_methods
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.utils.writer import EventName

from ovs3d.errors import UserError
from ovs3d.safe_yaml import load_config


@pytest.fixture
def config() -> TrainerConfig:
    config = copy.deepcopy(all_methods["nerfacto"])
    config.output_dir = Path("/somewhere/outputs")
    config.data = Path("relative/photographs")
    config.timestamp = "2026-01-02_030405"
    return config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yml"


def refused(file: Path, text: str) -> str:
    """Writes `text`, loads it, and returns the message of the refusal."""
    file.write_text(text)
    with pytest.raises(UserError) as error:
        load_config(file)
    message = str(error.value)
    assert str(file) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("method", ["nerfacto", "instant-ngp", "splatfacto", "vanilla-nerf", "mipnerf"])
def test_configuration_of_the_host_round_trips_equal(method: str, file: Path) -> None:
    written = all_methods[method]
    file.write_text(yaml.dump(written))
    assert load_config(file) == written


def test_round_trip_keeps_types_that_equality_could_hide(config: TrainerConfig, file: Path) -> None:
    file.write_text(yaml.dump(config))
    loaded = load_config(file)
    assert loaded == config
    assert yaml.dump(loaded) == yaml.dump(config)
    assert loaded.output_dir == Path("/somewhere/outputs")


def test_members_are_read_as_every_python_writes_them(config: TrainerConfig, file: Path) -> None:
    event, member = "nerfstudio.utils.writer.EventName", EventName.ITER_TRAIN_TIME
    config.logging.local_writer.stats_to_track = ()
    nothing = "stats_to_track: !!python/tuple []"
    for written in (
        f"!!python/object/apply:{event} ['{member.value}']",
        f"!!python/object/apply:builtins.getattr [!!python/name:{event} '', {member.name}]",
    ):
        assert nothing in yaml.dump(config)
        file.write_text(yaml.dump(config).replace(nothing, f"stats_to_track: !!python/tuple [{written}]"))
        assert load_config(file).logging.local_writer.stats_to_track == (member,)


@pytest.mark.parametrize(
    "attack",
    [
        "!!python/object/apply:os.system ['touch {marker}']",
        "!!python/object/apply:subprocess.run [[touch, '{marker}']]",
        "!!python/object/new:os.system ['touch {marker}']",
        "!!python/object/apply:nerfstudio.utils.scripts.run_command ['touch {marker}']",
        "!!python/object/apply:nerfstudio.utils.writer.os.system ['touch {marker}']",
        "!!python/object/apply:pathlib.PosixPath.touch ['{marker}']",
        "!!python/object/apply:builtins.eval [\"open('{marker}', 'w')\"]",
        "!!python/object/apply:builtins.getattr [!!python/name:nerfstudio.engine.trainer.Trainer '', setup]",
        "!!python/object/apply:builtins.getattr [!!python/name:nerfstudio.utils.writer.EventName '', mro]",
        "!!python/object/apply:builtins.getattr [!!python/name:nerfstudio.utils.writer.EventName '', [setup]]",
        "!!python/object/apply:builtins.getattr [!!python/name:nerfstudio.utils.writer.EventName '']",
        "!!python/object/apply:pathlib.PosixPath [7]",
        "!!python/object/apply:pathlib.Path {{args: ['{marker}'], state: {{}}}}",
    ],
)
def test_call_is_refused_and_not_made(attack: str, file: Path, config: TrainerConfig) -> None:
    marker = file.with_name("marker")
    line = attack.format(marker=marker)
    tag = line.split()[0]
    assert tag in refused(file, line)
    # The same deep inside an otherwise good file.
    assert tag in refused(file, yaml.dump(config).replace("project_name: nerfstudio-project", f"project_name: {line}"))
    assert not marker.exists()


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/name:os.system",
        "!!python/name:builtins.eval",
        "!!python/name:nerfstudio.utils.writer.os",
        "!!python/name:nerfstudio.utils.eval_utils.yaml",
        "!!python/name:nerfstudio.engine.trainer.Path",
        "!!python/name:nerfstudio.configs.method_configs.all_methods",
        "!!python/name:nerfstudio.no_such_module.Thing",
        "!!python/name:nerfstudio_evil.Thing",
        "!!python/name:nerfstudio..Thing",
        "!!python/module:os",
        "!!python/object:nerfstudio.engine.trainer.Trainer",
        "!!python/object:collections.OrderedDict",
    ],
)
def test_name_outside_the_allow_list_is_refused(tag: str, file: Path) -> None:
    body = "{}" if "/object:" in tag else "''"
    assert tag in refused(file, f"{tag} {body}")


def test_function_as_target_is_refused(config: TrainerConfig, file: Path) -> None:
    target = "nerfstudio.engine.trainer.Trainer ''"
    text = yaml.dump(config).replace(target, "nerfstudio.utils.scripts.run_command ''")
    assert "TrainerConfig" in refused(file, text)


def test_construction_calls_no_method_of_the_class(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = yaml.dump(all_methods["nerfacto"])

    def called(*_: object, **__: object) -> None:
        raise AssertionError("a method was called")

    for name in ("__init__", "__setattr__"):
        monkeypatch.setattr(TrainerConfig, name, called)
    file.write_text(text)
    assert isinstance(load_config(file), TrainerConfig)


def test_field_that_an_older_file_lacks_has_its_default(config: TrainerConfig, file: Path) -> None:
    lines = [line for line in yaml.dump(config).splitlines() if line != "gradient_accumulation_steps: {}"]
    file.write_text("\n".join(lines))
    assert load_config(file) == config


def test_unknown_field_is_left_out_with_a_warning(
    config: TrainerConfig, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # `setup` is a method: a value of that name in the instance would take its place.
    file.write_text(f"{yaml.dump(config)}setup: !!python/name:nerfstudio.utils.scripts.run_command ''\n")
    with caplog.at_level(logging.WARNING):
        loaded = load_config(file)
    assert "setup" not in vars(loaded)
    assert "setup" in caplog.text


@pytest.mark.parametrize(
    "text", ["", "a: 1", "a: [", "- &a [*a]", "!!int x", "!!bool x", "!!timestamp x", "2001-99-99"]
)
def test_file_that_is_no_configuration_is_refused(text: str, file: Path) -> None:
    refused(file, text)


def test_missing_and_binary_files_are_named(file: Path) -> None:
    with pytest.raises(UserError, match=str(file)):
        load_config(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=str(file)):
        load_config(file)
