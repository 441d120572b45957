"""What must be known, and right, before a run starts; raises `UserError` and writes nothing."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ovs3d.checkpoints import latest_checkpoint, read_checkpoint
from ovs3d.data.classes import Classes, resolve_classes
from ovs3d.data.datamanager import OVS3DDataManagerConfig
from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.data.layouts import scene_folder
from ovs3d.data.validation import training_images, validate_scene
from ovs3d.errors import UserError
from ovs3d.run_folder import find_run
from ovs3d.safe_yaml import load_config
from ovs3d.teachers.bank import PATCH_TEACHERS, check_levels, check_teachers
from ovs3d.teachers.base import FeatureMeta, build_teacher
from ovs3d.teachers.cache import check_cache_root, default_cache_root
from ovs3d.teachers.files import open_features, read_meta
from ovs3d.teachers.text import embed_classes

if TYPE_CHECKING:
    from ovs3d.trainer import OVS3DTrainerConfig


def read_classes(manager: OVS3DDataManagerConfig, words: tuple[str, ...]) -> Classes:
    """The asked classes, and a check of the whole scene in passing."""
    parser = manager.dataparser
    data = manager.data or getattr(parser, "data", None)
    if data is None or not Path(data).exists():
        raise UserError(f"The data folder {data} does not exist; give --data DIR with a scene in it.")
    classes = resolve_classes(words, scene_folder(Path(data)))
    if isinstance(parser, OVS3DDataParserConfig):
        parser.data = Path(data)
        parser.classes = tuple(f"{name}: {' | '.join(texts)}" for name, texts in classes)
        validate_scene(parser, manager.sensor_depth)
    return classes


def describe_teachers(manager: OVS3DDataManagerConfig, prompts: tuple[tuple[str, ...], ...]) -> tuple[int, int, int]:
    """(size of the text space, number of scales, size of the patch encoder's space or 0), texts and levels checked."""
    check_teachers(manager.teachers, manager.features)
    if set(manager.teachers) != {"files"}:
        check_cache_root(manager.feature_cache or default_cache_root())
    metas = {
        name: read_meta(manager.features)
        if name == "files" and manager.features is not None
        else built_meta(name, manager.encoder, manager.patch_encoder)
        for name in manager.teachers
    }
    texts = [meta for name, meta in metas.items() if name not in PATCH_TEACHERS]
    check_levels(manager.levels, texts[0])
    if manager.crops_scale_down < 1:
        raise UserError(f"--pipeline.datamanager.crops-scale-down {manager.crops_scale_down} is less than 1; choose 1.")
    embed_classes(manager, prompts, texts[0].space)
    if "files" in metas and manager.features is not None and isinstance(manager.dataparser, OVS3DDataParserConfig):
        open_features(manager.features, training_images(manager.dataparser))
    patch = [meta.dim for name, meta in metas.items() if name in PATCH_TEACHERS]
    return texts[0].dim, len(texts[0].levels), patch[0] if len(patch) > 0 else 0


@lru_cache
def built_meta(name: str, encoder: str, patch_encoder: str) -> FeatureMeta:
    """What a teacher of ours writes; loads its encoder once, which also shows that its weights are there."""
    return build_teacher(name, encoder, patch_encoder).meta


def read_geometry(run: Path) -> "tuple[Path, OVS3DTrainerConfig]":
    """The `config.yml` and the configuration of the run whose geometry is to be used."""
    from ovs3d.trainer import OVS3DTrainerConfig

    path = find_run(run)
    config = load_config(path)
    if not isinstance(config, OVS3DTrainerConfig):
        raise UserError(f"{path} is a run of {config.method_name}; --load-geometry takes a run of ovs3d.")
    read_checkpoint(latest_checkpoint(path))
    return path, config
