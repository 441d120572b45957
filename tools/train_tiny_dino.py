"""Trains the bundled patch encoder tiny-dino on rendered rooms by self-distillation; no label is read.

python -m tools.encoders.render --root CORPUS
python -m tools.train_tiny_dino --corpus CORPUS --out RUN --minutes 20 --export ovs3d/assets/tiny-dino.safetensors

DINO (arXiv 2104.14294) on the class token of crops, and the same loss on patches: the student's patch must name what
the teacher's patch at the same place of the picture names in another crop (as DenseCL, arXiv 2011.09157, pairs places),
some of the student's patches being hidden (as iBOT, arXiv 2111.07832).
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from jaxtyping import Float
from rich.logging import RichHandler
from torch import Tensor, nn

from ovs3d.encoders.dino import IMAGENET_MEAN, IMAGENET_STD, VitPatchEncoder, all_tokens, tiny_vit
from tools.encoders.corpus import Corpus, StoredScene
from tools.encoders.distill import (
    Crops,
    Head,
    balanced_targets,
    cell_positions,
    cross_entropy,
    cut,
    draw_places,
    hide_patches,
    sample_at,
)
from tools.encoders.measure_patches import measure_patches, raw_colour
from tools.encoders.training import (
    Average,
    Clock,
    export_weights,
    learning_rate,
    load_checkpoint,
    parameter_groups,
    save_checkpoint,
)

log = logging.getLogger("train_tiny_dino")
GLOBAL_SIZE, LOCAL_SIZE, PATCH = 80, 40, 8
GLOBAL_SIDES, LOCAL_SIDES = (48.0, 110.0), (24.0, 56.0)
PROTOTYPES, PATCH_PROTOTYPES = 64, 256


@dataclass
class Options:
    """Options of a training run."""

    corpus: Path
    """Folder that `tools.encoders.render` fills."""
    out: Path
    """Folder of the run: its checkpoint, from which an interrupted run continues, and its weights."""
    minutes: float = 20.0
    """Processor time of the training; the learning rate falls to nothing over it."""
    export: Path | None = None
    """Where the finished weights go, besides `out`."""
    seed: int = 0
    """Seed of the weights, of the drawn crops and of the augmentation."""
    places: int = 16
    """Places per step; each gives two global and two local crops."""
    patch_weight: float = 1.0
    """Weight of the patch loss; 0 leaves DINO alone."""
    hidden: float = 0.3
    """Share of the student's patches that are hidden in global crops, 0 to 1."""
    rate: float = 1e-3
    """Peak learning rate."""
    checkpoint_minutes: float = 3.0
    """Processor time, in minutes, from one checkpoint to the next."""
    threads: int = 1
    """Processor threads."""


class Student(nn.Module):
    """The vision transformer and its two heads, for crops and for patches."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone: Any = tiny_vit()
        width = int(self.backbone.embed_dim)
        self.head, self.patch_head = (Head(width, 256, 64, count) for count in (PROTOTYPES, PATCH_PROTOTYPES))

    def forward(
        self, images: Float[Tensor, "n 3 h w"]
    ) -> tuple[Float[Tensor, "n prototypes"], Float[Tensor, "n patches words"]]:
        """Similarities to the prototypes of the class token and of each patch."""
        tokens, _ = all_tokens(self.backbone, images)
        return self.head(tokens[:, 0]), self.patch_head(tokens[:, 1:])


class Trainer:
    """Student, teacher and optimiser; one `step` at a time."""

    def __init__(self, options: Options) -> None:
        self.options = options
        torch.manual_seed(options.seed)
        self.student = Student()
        self.teacher = Student().eval().requires_grad_(False)
        self.teacher.load_state_dict(self.student.state_dict())
        self.average = Average(self.student)
        groups = parameter_groups(self.student, 0.04, ("pos_embed", "cls_token"))
        self.optimizer = torch.optim.AdamW(groups, lr=options.rate, fused=True)
        self.step_count = 0
        self._mean, self._std = (torch.tensor(x).view(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))

    def step(self, scenes: list[StoredScene], rate: float, progress: float) -> dict[str, float]:
        """One step; its random numbers follow from the seed and the step's number."""
        rng = np.random.default_rng([self.options.seed, self.step_count])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        places = draw_places(scenes, self.options.places, rng)
        wide = [cut(places, GLOBAL_SIZE, GLOBAL_SIDES, rng, generator) for _ in range(2)]
        near = [cut(places, LOCAL_SIZE, LOCAL_SIDES, rng, generator) for _ in range(2)]
        temperature = 0.04 + 0.02 * min(1.0, progress * 5)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            images = self._normal(torch.cat([crops.images for crops in wide]))
            with torch.no_grad():
                taught, taught_patches = self.teacher(images)
            hidden = hide_patches(images, self.options.hidden, PATCH, generator)
            learnt, learnt_patches = self.student(hidden)
            learnt_near, _ = self.student(self._normal(torch.cat([crops.images for crops in near])))
        target = balanced_targets(taught.float(), temperature)
        halves = target.chunk(2)
        crops = [*zip(learnt.float().chunk(2), halves[::-1], strict=True)]
        crops += [(part, half) for part in learnt_near.float().chunk(2) for half in halves]
        loss = torch.stack([cross_entropy(a, b) for a, b in crops]).mean()
        patch_loss = self._patch_loss(wide, learnt_patches.float(), taught_patches.float(), temperature)
        self.optimizer.zero_grad(set_to_none=True)
        (loss + self.options.patch_weight * patch_loss).backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.step_count += 1
        self.average.update(self.student, min(0.996, 1 - 1 / (1 + self.step_count / 5)))
        self.teacher.load_state_dict(self.average.state)
        return {"crops": float(loss.detach()), "patches": float(patch_loss.detach())}

    def encoder(self) -> VitPatchEncoder:
        """The teacher's backbone as an encoder."""
        model = tiny_vit()
        model.load_state_dict(self.backbone_state())
        return VitPatchEncoder(model, "tiny-dino-in-training", torch.device("cpu"), precision=torch.bfloat16)

    def backbone_state(self) -> dict[str, Tensor]:
        """Averaged weights of the backbone alone."""
        return {k.removeprefix("backbone."): v for k, v in self.average.state.items() if k.startswith("backbone.")}

    def save(self, path: Path, elapsed: float) -> None:
        """Writes the checkpoint."""
        content = {"student": self.student.state_dict(), "average": self.average.state, "step": self.step_count}
        save_checkpoint(path, {**content, "optimizer": self.optimizer.state_dict(), "elapsed": elapsed})

    def resume(self, path: Path) -> float:
        """Takes up the checkpoint, if there is one; returns the processor seconds trained before."""
        stored = load_checkpoint(path)
        if stored is None:
            return 0.0
        self.student.load_state_dict(stored["student"])
        self.teacher.load_state_dict(stored["average"])
        self.optimizer.load_state_dict(stored["optimizer"])
        self.average.state, self.step_count = stored["average"], stored["step"]
        log.info("Continuing at step %d.", self.step_count)
        return float(stored["elapsed"])

    def _normal(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        return (images - self._mean) / self._std

    def _patch_loss(
        self,
        wide: list[Crops],
        learnt: Float[Tensor, "twice patches prototypes"],
        taught: Float[Tensor, "twice patches prototypes"],
        temperature: float,
    ) -> Float[Tensor, ""]:
        """Each student patch against the teacher's value at the same place of the other global crop, and of its own."""
        grid = GLOBAL_SIZE // PATCH
        maps = balanced_targets(taught.flatten(0, 1), temperature).view_as(taught)
        maps = maps.transpose(1, 2).unflatten(2, (grid, grid)).chunk(2)
        losses = []
        for own, other in ((0, 1), (1, 0)):
            points = cell_positions(wide[own], grid)
            student = learnt.chunk(2)[own].unflatten(1, (grid, grid))
            for source in (own, other):
                target, inside = sample_at(maps[source], wide[source], points)
                if inside.any():
                    losses.append(cross_entropy(student[inside], target[inside]))
        return torch.stack(losses).mean()


def train(options: Options) -> None:
    """Trains until the time is used up, then measures and exports."""
    torch.set_num_threads(options.threads)
    trainer = Trainer(options)
    val = Corpus(options.corpus, "val")
    log.info("Raw colour: %s", json.dumps(measure_patches(raw_colour, val.scenes[:20])))
    if trainer.step_count == 0:
        log.info("Random weights: %s", json.dumps(measure_patches(trainer.encoder().encode_patches, val.scenes[:20])))
    clock, checkpoint = Clock(options.minutes), options.out / "checkpoint.pt"
    clock.earlier = trainer.resume(checkpoint)
    corpus = Corpus(options.corpus, "train")
    saved, means = clock.elapsed, {}
    while clock.progress < 1:
        rate = learning_rate(options.rate, trainer.step_count, clock.progress)
        losses = trainer.step(corpus.scenes, rate, clock.progress)
        means = {name: 0.98 * means.get(name, value) + 0.02 * value for name, value in losses.items()}
        if trainer.step_count % 50 == 0:
            shown = " ".join(f"{name} {value:.3f}" for name, value in means.items())
            log.info("step %d, %.1f min: %s", trainer.step_count, clock.elapsed / 60, shown)
        if clock.elapsed - saved > 60 * options.checkpoint_minutes:
            saved = clock.elapsed
            trainer.save(checkpoint, saved)
            corpus.refresh()
            log.info("%s", json.dumps(measure_patches(trainer.encoder().encode_patches, val.scenes[:20])))
    trainer.save(checkpoint, clock.elapsed)
    notes = {"seed": str(options.seed), "steps": str(trainer.step_count), "space": "tiny-dino-v1"}
    for path in (options.out / "tiny-dino.safetensors", options.export):
        if path is not None:
            export_weights(path, trainer.backbone_state(), notes)
    measured = measure_patches(trainer.encoder().encode_patches, val.scenes)
    log.info("All validation scenes: %s", json.dumps(measured))


def main(options: Options) -> None:
    """Entry point."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler(show_path=False)])
    train(options)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
