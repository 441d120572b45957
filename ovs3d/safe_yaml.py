"""Reads the `config.yml` of a run without the power to run code.

nerfstudio writes a run's configuration as YAML with Python object tags and reads it with PyYAML's unsafe loader, which
calls whatever a file names. Here only what such a file needs is made: dataclasses (filled field by field, no method of
theirs is called), enumeration members, paths and tuples, and references to classes and functions of nerfstudio, ovs3d
and torch.optim.
"""

import dataclasses
import importlib
import inspect
import logging
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

import yaml
from nerfstudio.engine.trainer import TrainerConfig

from ovs3d.errors import UserError

log = logging.getLogger(__name__)

_CONFIG_PACKAGES = ("nerfstudio", "ovs3d")
_PATH_CLASSES = frozenset(("pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath"))
_TAG = "tag:yaml.org,2002:python/"


def load_config(path: Path) -> TrainerConfig:
    """Returns the configuration that `ns-train` wrote to `path`.

    A field that the file lacks, because it was written by an older version, has its default; a field that the class no
    longer has is left out with a warning.

    Raises:
        UserError: The file cannot be read, is not a run's configuration, or names something outside the allow-list.
    """
    try:
        config = yaml.load(path.read_text("utf8"), Loader=_ConfigLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); give a run folder or its config.yml.") from error
    except (yaml.YAMLError, RecursionError, ValueError, KeyError, AttributeError) as error:
        # PyYAML's own constructors raise the last three for values such as `!!int x`, `!!bool x` and `!!timestamp x`.
        # The location that PyYAML adds spans several lines; a user needs one sentence.
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        mark = getattr(error, "problem_mark", None)
        place = path if mark is None else f"{path}, line {mark.line + 1}"
        raise UserError(f"{place}: {problem}; give the config.yml that ns-train wrote.") from error
    if not isinstance(config, TrainerConfig):
        raise UserError(f"{path} holds no training configuration; give the config.yml that ns-train wrote.")
    return config


class _ConfigLoader(yaml.SafeLoader):
    """PyYAML's safe loader and the few Python tags of a nerfstudio configuration."""

    def construct_tuple(self, node: yaml.Node) -> tuple[Any, ...]:
        return tuple(self._arguments(node))

    def construct_reference(self, suffix: str, node: yaml.Node) -> Any:
        """`!!python/name:module.Name ''`: a class or a function, never called here."""
        found = _resolve(suffix)
        if not (inspect.isclass(found) or inspect.isfunction(found)):
            self._refuse(node)
        return found

    def construct_apply(self, suffix: str, node: yaml.Node) -> Any:
        """`!!python/object/apply:Class [arguments]`: a path or an enumeration member."""
        arguments = self._arguments(node)
        if suffix in _PATH_CLASSES and all(isinstance(part, str) for part in arguments):
            # The writer may have been another operating system, whose path class cannot be made on this one.
            return Path(*arguments)
        if suffix == "builtins.getattr" and len(arguments) == 2:  # So Python 3.11.0 to 3.11.3 write a member.
            found, name = arguments
            if _is_enumeration(found) and isinstance(name, str) and name in found.__members__:
                return found[name]
        found = _resolve(suffix, _CONFIG_PACKAGES)
        if not (_is_enumeration(found) and len(arguments) == 1):
            self._refuse(node)
        try:
            return found(arguments[0])
        except ValueError as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error

    def construct_dataclass(self, suffix: str, node: yaml.Node) -> Any:
        """`!!python/object:Class {field: value}`: a dataclass, without a call of its `__init__`."""
        found = _resolve(suffix, _CONFIG_PACKAGES)
        if not (inspect.isclass(found) and dataclasses.is_dataclass(found) and isinstance(node, yaml.MappingNode)):
            self._refuse(node)
        state = self.construct_mapping(node, deep=True)
        # What `_target` names is called when the configuration is set up, so a bare function has no business there.
        if not inspect.isclass(state.get("_target", object)):
            self._refuse(node)
        instance = object.__new__(found)
        for field in dataclasses.fields(found):
            if field.name in state:
                object.__setattr__(instance, field.name, state.pop(field.name))
            elif field.default_factory is not dataclasses.MISSING:
                object.__setattr__(instance, field.name, field.default_factory())
        if len(state) > 0:
            log.warning("Settings that %s does not know are left out: %s.", suffix, ", ".join(map(str, state)))
        return instance

    def construct_refused(self, suffix: str, node: yaml.Node) -> NoReturn:
        self._refuse(node)

    def _arguments(self, node: yaml.Node) -> list[Any]:
        if not isinstance(node, yaml.SequenceNode):
            self._refuse(node)
        return self.construct_sequence(node, deep=True)

    def _refuse(self, node: yaml.Node) -> NoReturn:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        problem = f"the tag {tag} is not allowed in a configuration, or its class is not installed"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _resolve(dotted: str, packages: tuple[str, ...] = (*_CONFIG_PACKAGES, "torch.optim")) -> Any:
    """Returns what `module.Name` names if it was defined in one of `packages`, else None.

    The second half of the condition matters: a module of these packages also holds what it imported, such as `os`.
    """
    module_name, _, name = dotted.rpartition(".")
    if not _within(module_name, packages):
        return None
    try:
        found = getattr(importlib.import_module(module_name), name, None)
    except (ImportError, ValueError):
        return None
    return found if _within(getattr(found, "__module__", None), packages) else None


def _is_enumeration(found: Any) -> bool:
    return inspect.isclass(found) and issubclass(found, Enum)


def _within(module_name: Any, packages: tuple[str, ...]) -> bool:
    return isinstance(module_name, str) and any(
        module_name == package or module_name.startswith(f"{package}.") for package in packages
    )


# PyYAML takes the first prefix that fits, in the order of this list.
_ConfigLoader.add_constructor(f"{_TAG}tuple", _ConfigLoader.construct_tuple)
_ConfigLoader.add_multi_constructor(f"{_TAG}name:", _ConfigLoader.construct_reference)
_ConfigLoader.add_multi_constructor(f"{_TAG}object/apply:", _ConfigLoader.construct_apply)
_ConfigLoader.add_multi_constructor(f"{_TAG}object:", _ConfigLoader.construct_dataclass)
_ConfigLoader.add_multi_constructor(_TAG, _ConfigLoader.construct_refused)
