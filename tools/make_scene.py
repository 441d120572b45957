"""Makes a synthetic scene with exact poses, labels and depth, in the data format that ovs3d reads.

The bundled scene: python tools/make_scene.py --seed 7 --out data/room --renderer blender --samples 32
    --required "red striped cone" "red checkered cone" "black dotted ball"
"""

import dataclasses
import logging
from pathlib import Path
from typing import Literal

import tyro
from scenes import cameras, compile_scene, sample_scene
from scenes.dataset import write_dataset

LOG = logging.getLogger("make_scene")


@dataclasses.dataclass(frozen=True)
class MakeScene:
    """Makes one scene from a seed."""

    seed: int
    """Any non-negative integer; the same seed gives the same scene."""
    out: Path
    """Folder to write; made if missing."""
    renderer: Literal["blender", "raycast"] = "blender"
    """Path tracing with Blender's bpy package (about ten seconds a view), or the fast ray caster."""
    train_views: int = 50
    """Number of training photographs."""
    test_views: int = 12
    """Number of held-out photographs, taken between training ones."""
    width: int = 320
    """Of the pictures, in pixels."""
    height: int = 240
    """Of the pictures, in pixels."""
    samples: int = 128
    """Paths a pixel, for Blender; the picture is denoised after."""
    threads: int = 2
    """CPU threads, for Blender."""
    depth: bool = True
    """Whether to write depth pictures."""
    held_out: bool = True
    """Whether objects may be of the kinds that the tiny encoders never see in training."""
    surroundings: float = 1.0
    """So many times as far away as in a room are walls, ceiling and lamps; 8 makes a yard with a far background."""
    required: tuple[str, ...] = ()
    """Class names of objects that must be in the scene."""

    def run(self) -> None:
        """Samples, renders and writes the scene."""
        description = sample_scene(self.seed, self.held_out, self.required)
        if self.surroundings != 1.0:
            description = description.in_a_yard(self.surroundings)
        compiled = compile_scene(description)
        train, test = cameras(description, self.train_views, self.test_views)
        render, words = None, "ray caster with baked light"
        if self.renderer == "blender":
            from scenes.cycles import CyclesRenderer

            render = CyclesRenderer(compiled, self.width, self.height, self.samples, self.threads).render
            words = f"Blender Cycles, {self.samples} samples a pixel, OpenImageDenoise"
        size = (self.width, self.height)
        write_dataset(
            self.out,
            compiled,
            train,
            test,
            size,
            words,
            render,
            self.depth,
            lambda k, n: LOG.info("view %d of %d", k, n),
        )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    tyro.cli(MakeScene, description=__doc__).run()
