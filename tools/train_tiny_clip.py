"""Trains the bundled encoder tiny-clip on windows of rendered rooms and captions of their classes.

python -m tools.encoders.render --root CORPUS
python -m tools.train_tiny_clip --corpus CORPUS --out RUN --minutes 60 --export ovs3d/assets/tiny-clip.safetensors
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
import tyro
from jaxtyping import Float
from rich.logging import RichHandler
from torch import Tensor

from ovs3d.encoders.dense import dense_embeddings
from ovs3d.encoders.open_clip import ASSETS, OpenClipEncoder
from tools.encoders.captions import attribute_captions, draw_caption, truth, wrong_caption
from tools.encoders.contrast import answer_loss, multi_positive_loss, train_with_plain_attention
from tools.encoders.corpus import Corpus, StoredScene
from tools.encoders.measure import report
from tools.encoders.training import (
    Average,
    Clock,
    export_weights,
    learning_rate,
    load_checkpoint,
    parameter_groups,
    save_checkpoint,
)
from tools.encoders.windows import augment, box_means, draw_dense_crops, draw_windows
from tools.scenes import ClassInfo

log = logging.getLogger("train_tiny_clip")


@dataclass
class Options:
    """Options of a training run."""

    corpus: Path
    """Folder that `tools.encoders.render` fills; scenes that appear during the training are taken in."""
    out: Path
    """Folder of the run: its checkpoint, from which an interrupted run continues, and its weights."""
    minutes: float = 60.0
    """Processor time of the training; the learning rate falls to nothing over it."""
    export: Path | None = None
    """Where the finished weights go, besides `out`."""
    config: Path = ASSETS / "tiny-clip.json"
    """open_clip configuration of the model."""
    extra: Path | None = None
    """A second corpus, of path-traced scenes, from which `extra_share` of the pictures come."""
    extra_share: float = 0.3
    """Share of the batches taken from `extra`, 0 to 1."""
    start: Path | None = None
    """Weights (safetensors) to start a new run from, for fine-tuning."""
    seed: int = 0
    """Seed of the weights, of the drawn windows and captions, and of the augmentation."""
    windows: int = 192
    """Windows per step."""
    dense_crops: int = 10
    """Larger crops per step for the dense path; 0 leaves the dense loss out."""
    wrong_captions: int = 32
    """Names per step of objects that differ from one in the batch by one attribute: wrong answers to learn from."""
    dense_weight: float = 0.5
    """Weight of the dense loss."""
    max_scale: float = 20.0
    """Largest factor on the cosines. CLIP allows 100, under which names of one scene may differ by 0.002 in cosine; a
    field that learns the features needs wider margins."""
    rate: float = 1.5e-3
    """Peak learning rate."""
    checkpoint_minutes: float = 3.0
    """Processor time, in minutes, from one checkpoint to the next."""
    threads: int = 1
    """Processor threads."""


class Trainer:
    """The model, its optimiser and its average; one `step` at a time."""

    def __init__(self, options: Options) -> None:
        self.options = options
        torch.manual_seed(options.seed)
        open_clip.add_model_config(options.config)
        self.name = options.config.stem
        self.model: Any = open_clip.create_model(self.name, pretrained=str(options.start) if options.start else None)
        train_with_plain_attention(self.model)
        self.tokenizer = open_clip.get_tokenizer(self.name)
        groups = parameter_groups(self.model, 0.05, ("token_embedding", "positional_embedding"))
        self.optimizer = torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98), fused=True)
        self.average = Average(self.model)
        self.step_count = 0
        mean, std = (self.model.visual.preprocess_cfg[key] for key in ("mean", "std"))
        self._mean, self._std = (torch.tensor(x).view(3, 1, 1) for x in (mean, std))

    def step(self, scenes: list[StoredScene], rate: float) -> dict[str, float]:
        """One step; its random numbers follow from the seed and the step's number, so a resumed run draws anew."""
        rng = np.random.default_rng([self.options.seed, self.step_count])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        side = int(self.model.visual.image_size[0]) if self.is_vit else int(self.model.visual.image_size)
        pictures, classes = draw_windows(scenes, self.options.windows, side, rng)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            windows = F.normalize(self.model.visual(self._normal(augment(pictures, generator))).float(), dim=-1)
            dense, dense_classes = self._dense(scenes, rng, generator)
        captions = [draw_caption(info, rng) for info in classes + dense_classes]
        objects = [info for info in classes if info.kind == "object"]
        captions += [wrong_caption(info, rng) for info in objects[: self.options.wrong_captions]]
        captions = list({caption.text: caption for caption in captions}.values())
        questions = attribute_captions(rng)
        everything = captions + [caption for group in questions.values() for caption in group]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            tokens = self.tokenizer([caption.text for caption in everything])
            texts = F.normalize(self.model.encode_text(tokens).float(), dim=-1)
        scale = self.model.logit_scale.exp().clamp(max=self.options.max_scale)
        losses = {}
        for name, images, infos in (("windows", windows, classes), ("dense", dense, dense_classes)):
            if len(infos) > 0:
                table = torch.from_numpy(truth(everything, infos))
                count = len(captions)
                losses[name] = multi_positive_loss(images, texts[:count], table[:, :count], scale)
                losses[f"{name} attributes"] = images.new_zeros(())
                for group in questions.values():
                    part = slice(count, count + len(group))
                    losses[f"{name} attributes"] += answer_loss(scale * images @ texts[part].T, table[:, part]) / 3
                    count += len(group)
        weights = {name: self.options.dense_weight if name.startswith("dense") else 1.0 for name in losses}
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.step_count += 1
        self.average.update(self.model, min(0.999, 1 - 1 / (1 + self.step_count / 10)))
        return {name: float(value.detach()) for name, value in losses.items()}

    @property
    def is_vit(self) -> bool:
        """Whether the image tower is a vision transformer."""
        return hasattr(self.model.visual, "transformer")

    def encoder(self) -> OpenClipEncoder:
        """The averaged weights as an encoder."""
        model: Any = open_clip.create_model(self.name)
        model.load_state_dict(self.average.state)
        return OpenClipEncoder(model, self.name, "tiny-clip-in-training", torch.device("cpu"), precision=torch.bfloat16)

    def save(self, path: Path, elapsed: float) -> None:
        """Writes the checkpoint."""
        content = {"model": self.model.state_dict(), "average": self.average.state, "step": self.step_count}
        save_checkpoint(path, {**content, "optimizer": self.optimizer.state_dict(), "elapsed": elapsed})

    def resume(self, path: Path) -> float:
        """Takes up the checkpoint, if there is one; returns the seconds trained before."""
        stored = load_checkpoint(path)
        if stored is None:
            return 0.0
        self.model.load_state_dict(stored["model"])
        self.optimizer.load_state_dict(stored["optimizer"])
        self.average.state, self.step_count = stored["average"], stored["step"]
        log.info("Continuing at step %d.", self.step_count)
        return float(stored["elapsed"])

    def _normal(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        return (images - self._mean) / self._std

    def _dense(
        self, scenes: list[StoredScene], rng: np.random.Generator, generator: torch.Generator
    ) -> tuple[Float[Tensor, "boxes dim"], list[ClassInfo]]:
        """Mean dense embedding of each box of a few larger crops, all of one random grid, with unit length."""
        if self.options.dense_crops == 0 or not self.is_vit:
            return torch.zeros(0, 1), []
        grid = (int(rng.integers(8, 17)), int(rng.integers(10, 21)))
        crops = draw_dense_crops(scenes, self.options.dense_crops, grid, rng)
        images = self._normal(augment(np.stack([crop.picture for crop in crops]), generator, mirror=False))
        cells = dense_embeddings(self.model.visual, images).float()
        means = [box_means(table, crop.boxes) for table, crop in zip(cells, crops, strict=True)]
        return F.normalize(torch.cat(means), dim=-1), [info for crop in crops for info in crop.classes]


def train(options: Options) -> None:
    """Trains until the time is used up, then measures and exports."""
    torch.set_num_threads(options.threads)
    trainer, clock = Trainer(options), Clock(options.minutes)
    checkpoint = options.out / "checkpoint.pt"
    clock.earlier = trainer.resume(checkpoint)
    corpus, val = Corpus(options.corpus, "train"), Corpus(options.corpus, "val")
    extra = Corpus(options.extra, "train") if options.extra else None
    saved, means = clock.elapsed, {}
    while clock.progress < 1:
        rng = np.random.default_rng([options.seed, trainer.step_count, 1])
        mixed = extra is not None and len(extra.scenes) > 0 and rng.random() < options.extra_share
        scenes = extra.scenes if extra is not None and mixed else corpus.scenes
        losses = trainer.step(scenes, learning_rate(options.rate, trainer.step_count, clock.progress))
        means = {name: 0.98 * means.get(name, value) + 0.02 * value for name, value in losses.items()}
        if trainer.step_count % 50 == 0:
            shown = " ".join(f"{name} {value:.3f}" for name, value in means.items())
            log.info("step %d, %.1f min, %d scenes: %s", trainer.step_count, clock.elapsed / 60, len(scenes), shown)
        if clock.elapsed - saved > 60 * options.checkpoint_minutes:
            saved = clock.elapsed
            trainer.save(checkpoint, saved)
            corpus.refresh()
            measured = report(trainer.encoder(), val.scenes[:10], (1.5,) if trainer.is_vit else ())
            log.info("%s", json.dumps(measured))
            _export(options.out / "tiny-clip.safetensors", trainer, options)
    trainer.save(checkpoint, clock.elapsed)
    for path in (options.out / "tiny-clip.safetensors", options.export):
        if path is not None:
            _export(path, trainer, options)
    measured = report(trainer.encoder(), val.scenes, (1.0, 1.5, 2.0) if trainer.is_vit else ())
    log.info("All validation scenes: %s", json.dumps(measured, indent=1))


def _export(path: Path, trainer: Trainer, options: Options) -> None:
    notes = {"seed": str(options.seed), "steps": str(trainer.step_count), "space": "tiny-clip-v2"}
    export_weights(path, trainer.average.state, notes)


def main(options: Options) -> None:
    """Entry point."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler(show_path=False)])
    train(options)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
