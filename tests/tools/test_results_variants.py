"""The ablation with the authors' constants, and the method that has them, say the same."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import tyro
from nerfstudio.configs.method_configs import AnnotatedBaseConfigUnion

from ovs3d.config import base, paper
from tools.results.variants import ABLATIONS, ENCODERS

OF_ONE_ALONE = {
    "method_name",
    "encoder",  # Scenes of the results are made for the bundled encoders.
    "dino",
    "max_num_iterations",  # As many as the other ablations.
    "pipeline.datamanager.crops_scale_down",  # Photographs of the scenes are small as they are.
    "pipeline.model.latent_resolutions",  # Two of the three, for two processors.
    "pipeline.model.fda_pairs",  # All of them take seconds a step there.
}
"""What the method and the ablation do not share."""


def settings(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting of a configuration by its dotted name."""
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            yield from settings(value, f"{prefix}{field.name}.")
        elif field.name != "optimizers":
            yield f"{prefix}{field.name}", value


def changed(config: Any, other: Any) -> dict[str, Any]:
    """What a configuration says otherwise than another."""
    before = dict(settings(other))
    return {name: value for name, value in settings(config) if value != before[name]}


def parsed(*flags: str) -> Any:
    return tyro.cli(AnnotatedBaseConfigUnion, args=["ovs3d-tiny", *ENCODERS, *flags])


def test_authors_constants_are_those_of_the_method() -> None:
    variant, plain = parsed(*ABLATIONS["authors' constants"]), parsed()
    in_paper, in_variant = changed(paper(), base()), changed(variant, plain)
    shared = (set(in_paper) | set(in_variant)) - OF_ONE_ALONE
    assert len(shared) > 8 and set(in_paper) >= OF_ONE_ALONE
    ours, theirs = dict(settings(variant)), dict(settings(paper()))
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


def test_semantics_are_trained_as_long_as_the_authors_do() -> None:
    config = paper()
    assert config.max_num_iterations - config.geometry_steps == 15_000
