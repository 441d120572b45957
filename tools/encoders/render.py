"""Renders the corpus from which the tiny encoders learn; may be stopped and started again at any time.

python -m tools.encoders.render --root CORPUS --scenes 1200
"""

import logging
import multiprocessing
import os
from pathlib import Path

import tyro

from tools.encoders.corpus import FIRST_SEED, render_scene

log = logging.getLogger(__name__)


def main(root: Path, scenes: int = 1200, val_scenes: int = 60, views: int = 8, workers: int = 1) -> None:
    """Renders training and validation scenes.

    Args:
        root: folder of the corpus; scenes that lie there are kept.
        scenes: number of training scenes, without held-out triples.
        val_scenes: number of validation scenes, held-out triples among them; these are rendered first.
        views: pictures per scene.
        workers: processes, one core each.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    jobs = [(root / "val", FIRST_SEED["val"] + k, True, views) for k in range(val_scenes)]
    jobs += [(root / "train", FIRST_SEED["train"] + k, False, views) for k in range(scenes)]
    # One thread per process: the ray caster would otherwise start one per core in each of them.
    os.environ["OMP_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        pending = [pool.apply_async(render_scene, job) for job in jobs]
        for done, job in enumerate(pending, 1):
            job.get()
            if done % 50 == 0:
                log.info("%d of %d scenes", done, len(jobs))


if __name__ == "__main__":
    tyro.cli(main)
