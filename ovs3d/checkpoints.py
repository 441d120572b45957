"""Checkpoints of the host: which is the newest, what it holds of the model, and whether a run can go on from it."""

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from nerfstudio.data.scene_box import SceneBox

from ovs3d.errors import UserError

if TYPE_CHECKING:
    from ovs3d.model import OVS3DModel
    from ovs3d.model_config import OVS3DModelConfig
    from ovs3d.trainer import OVS3DTrainerConfig

GEOMETRY_PARTS = ("proposal.", "radiance.")
DAMAGED = (RuntimeError, EOFError, LookupError, TypeError, AttributeError, ValueError, pickle.UnpicklingError)
"""All that PyTorch, and looking into what it gives, raise on files that are no whole checkpoints."""


def latest_checkpoint(config_path: Path) -> Path:
    """The newest checkpoint of a run."""
    found = sorted((config_path.parent / "nerfstudio_models").glob("step-*.ckpt"))
    if len(found) == 0:
        raise UserError(f"{config_path.parent} has no checkpoint in nerfstudio_models; train the run first.")
    return found[-1]


def check_resume(config: "OVS3DTrainerConfig") -> None:
    """Refuses a checkpoint that cannot be read, is of another model, or has all steps of the run already."""
    checkpoint = config.load_dir or config.load_checkpoint
    if checkpoint is None:
        return
    if config.load_dir is not None:
        name = "step-*.ckpt" if config.load_step is None else f"step-{config.load_step:09d}.ckpt"
        found = sorted(config.load_dir.glob(name))
        if len(found) == 0:
            raise UserError(f"{config.load_dir} holds no {name}; give --load-dir RUN/nerfstudio_models.")
        checkpoint = found[-1]
    step, model = read_checkpoint(checkpoint)
    done = step + 1
    if done >= config.max_num_iterations:
        raise UserError(
            f"{checkpoint} has {done} steps already; raise --max-num-iterations above {done} to train further."
        )
    for name, wanted in model_shapes(config.pipeline.model).items():
        if name not in model or model[name].shape != wanted:
            there = f"{tuple(model[name].shape)} there" if name in model else "not there"
            raise UserError(
                f"{checkpoint} is of another model ({name} is {there}, and {tuple(wanted)} now): resume with the "
                "method and the flags of its own run, or start from its geometry with --load-geometry RUN."
            )


def model_shapes(config: "OVS3DModelConfig") -> dict[str, torch.Size]:
    """Shapes of the numbers that a model keeps in its checkpoints."""
    with torch.device("meta"):
        return {name: value.shape for name, value in build_model(config).state_dict().items()}


def build_model(config: "OVS3DModelConfig") -> "OVS3DModel":
    """An untrained model; the host wants a box and a number of photographs, which it does not use."""
    box = SceneBox(torch.tensor([[-1.0] * 3, [1.0] * 3]))
    return config.setup(scene_box=box, num_train_data=0)


def read_checkpoint(path: Path) -> tuple[int, dict[str, torch.Tensor]]:
    """The last step of a checkpoint of the host, and the model's part of it, whose numbers are read when they are used.

    Raises:
        UserError: the file cannot be read, is cut short (the host does not save atomically), or is no checkpoint.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        state = checkpoint["pipeline"].items()
        return checkpoint["step"], {name.removeprefix("_model.").removeprefix("module."): x for name, x in state}
    except (OSError, *DAMAGED) as error:
        kept_away = isinstance(error, (FileNotFoundError, PermissionError))
        reason = error.strerror if kept_away else "it is damaged, or of another program"
        raise UserError(
            f"{path} cannot be read as a checkpoint of ns-train ({reason}); delete it if there is an earlier one, or "
            "train again."
        ) from error


def load_geometry_state(model: "OVS3DModel", config_path: Path) -> None:
    """Copies density and colour of another run into `model`."""
    _, state = read_checkpoint(latest_checkpoint(config_path))
    parts = {name: value for name, value in state.items() if name.startswith(GEOMETRY_PARTS)}
    wanted = {name for name in model.state_dict() if name.startswith(GEOMETRY_PARTS)}
    if set(parts) != wanted:
        raise UserError(f"{config_path.parent} was trained with another backbone; its geometry cannot be used here.")
    model.load_state_dict(parts, strict=False)
