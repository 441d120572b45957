"""Learning-rate schedules whose state stays loadable with `weights_only=True`.

The host's own schedules put numpy scalars into the optimizer's state, which safe loading refuses; these return Python
floats.
"""

import math
from dataclasses import dataclass, field

from nerfstudio.engine.schedulers import Scheduler, SchedulerConfig
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler


@dataclass
class StageSchedulerConfig(SchedulerConfig):
    """Linear warm-up and exponential decay between the first and the last step of a training stage."""

    _target: type = field(default_factory=lambda: StageScheduler)
    start: int = 0
    """First step of the stage; before it the rate is that of its first step (nothing is trained then)."""
    stop: int = 1
    """Step at which the final rate is reached."""
    warmup: int = 50
    """Steps over which the rate grows from near zero."""
    final: float = 0.02
    """Final rate as a fraction of the initial one."""


class StageScheduler(Scheduler):
    """Schedule of one training stage."""

    config: StageSchedulerConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    def get_scheduler(self, optimizer: Optimizer, lr_init: float) -> LRScheduler:
        """The torch schedule; `lr_init` is the optimizer's own rate, which the factor multiplies."""
        # A function, because torch would put the attributes of any other callable into the checkpoint.
        return LambdaLR(optimizer, lr_lambda=lambda step: self.factor(step))  # noqa: PLW0108

    def factor(self, step: int) -> float:
        """Factor of the initial rate at `step`, a Python float in (0, 1]."""
        config = self.config
        done = min(max(step - config.start, 0), config.stop - config.start)
        decay = config.final ** (done / max(config.stop - config.start, 1))
        return float(min(1.0, (done + 1) / max(config.warmup, 1)) * math.exp(math.log(decay)))
