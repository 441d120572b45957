"""What every trainer here does: a learning rate that follows the clock, averaged weights, and checkpoints to resume."""

import logging
import math
import os
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

log = logging.getLogger(__name__)


class Clock:
    """Processor time against its budget; that of earlier, interrupted runs counts.

    Processor time rather than the wall's, so that a busy machine trains as well as an idle one, only later.
    """

    def __init__(self, minutes: float) -> None:
        self.budget = minutes * 60
        self.earlier = 0.0
        self._start = time.process_time()

    @property
    def elapsed(self) -> float:
        """Seconds trained so far, over all runs."""
        return self.earlier + time.process_time() - self._start

    @property
    def progress(self) -> float:
        """Share of the budget that is used, up to 1."""
        return min(1.0, self.elapsed / self.budget)


def learning_rate(peak: float, step: int, progress: float, warmup: int = 200) -> float:
    """Linear warm-up over `warmup` steps, then a cosine over the time budget down to a hundredth of the peak."""
    return peak * min(1.0, (step + 1) / warmup) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


class Average:
    """Exponential moving average of a model's parameters and buffers."""

    def __init__(self, model: nn.Module) -> None:
        self.state = {name: value.detach().clone().float() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, decay: float) -> None:
        """average = decay * average + (1 - decay) * model."""
        current = model.state_dict()
        floats = [name for name, value in current.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.state[n] for n in floats], [current[n].detach() for n in floats], 1 - decay)
        for name in current.keys() - set(floats):
            self.state[name].copy_(current[name])


def parameter_groups(model: nn.Module, weight_decay: float, exempt: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Weight decay on matrices alone: not on biases, norms, nor on parameters whose name holds an exempt word."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    decayed = [p for name, p in named if p.ndim >= 2 and not any(word in name for word in exempt)]
    kept = [p for name, p in named if p.ndim < 2 or any(word in name for word in exempt)]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Writes a checkpoint whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The checkpoint of an earlier run, or None."""
    return torch.load(path, weights_only=True) if path.exists() else None


def export_weights(path: Path, state: dict[str, Tensor], notes: dict[str, str]) -> None:
    """Writes float16 safetensors with notes in the header, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({name: value.half().contiguous() for name, value in state.items()}, partial, metadata=notes)
    partial.chmod(0o644)  # safetensors makes it private, but it is to be packaged.
    os.replace(partial, path)
    log.info("Wrote %s (%.2f MB).", path, path.stat().st_size / 1e6)
