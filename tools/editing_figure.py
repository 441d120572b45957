"""Makes README's picture of an edited scene from a run of the bundled scene."""

from pathlib import Path

import numpy as np
import tyro
from jaxtyping import UInt8
from nerfstudio.cameras.cameras import Cameras
from PIL import Image

from ovs3d.evaluation.figures import titled_panels
from ovs3d.query.result import to_bytes
from ovs3d.scene import Scene


def editing_figure(
    scene: Scene, camera: Cameras, words: tuple[str, ...], width: int
) -> UInt8[np.ndarray, "row_h row_w 3"]:
    """Colour as it is, without the things that words name, and those things alone."""
    scenes = {
        "the scene": scene,
        f"--without {' '.join(map(repr, words))}": scene.edited(without=words),
        f"--keep {' '.join(map(repr, words))}": scene.edited(keep=words),
    }
    panels = [(title, to_bytes(each.segment(camera, with_scores=False).rgb.numpy())) for title, each in scenes.items()]
    return titled_panels(panels, width, font_size=15)


def main(
    run: Path = Path("outputs/demo/ovs3d-tiny/seed-0"),
    out: Path = Path("docs/figures/editing.png"),
    words: tuple[str, ...] = ("red striped cone", "white striped bottle"),
    view: int = 0,
    width: int = 360,
) -> None:
    """Writes the picture.

    Args:
        run: a run folder or its config.yml.
        out: the PNG.
        words: what is left out, and kept alone.
        view: index of the held-out camera.
        width: of each panel, in pixels.
    """
    scene = Scene.load(run)
    figure = editing_figure(scene, scene.held_out_outputs.cameras[view : view + 1], words, width)
    Image.fromarray(figure).quantize(192).save(out, optimize=True)


if __name__ == "__main__":
    tyro.cli(main)
