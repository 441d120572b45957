"""Fits how likely tiny-clip's words are true, from questions about rooms that no result is measured on.

Trains a run of every room, asks it what `tools/queries/generate.py` asks, and fits a small network from the evidence at
the points of the scenes to the truth there. Every question stands against the run's classes and against random parts of
them: users name two of them, or twenty. Writes ovs3d/assets/tiny-clip-calibration.json.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Bool, Float
from nerfstudio.utils.rich_utils import CONSOLE
from scipy.linalg import block_diag
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from ovs3d.evaluation.report import write_json
from ovs3d.query.ask import Query
from ovs3d.query.calibration import ASSETS, SUFFIX
from tools.queries.evidence import KnownScene, against_some
from tools.queries.generate import word_queries
from tools.results.runs import train
from tools.results.variants import ENCODERS

Layer = tuple[Float[np.ndarray, "_ _"], Float[np.ndarray, " _"]]
"""Weight and bias."""
SHORT = ("--geometry-steps", "1000", "--max-num-iterations", "1600")
"""Shapes need not be exact here."""
HIDDEN = (24, 24)
SAMPLES, PASSES, BATCH = 2_000_000, 8, 2000
"""Of the evidence, and over it: more of either makes the network surer than it is right in a room that was left out."""
NETWORKS = 3
"""Whose mean is taken; they differ in what of the evidence they see, and in how they begin."""
DRAWS = 2
"""Random parts of the classes that every question stands against, one after the other."""


@dataclass
class FitCalibration:
    """Train on some rooms, fit and write the calibration."""

    seeds: tuple[int, ...] = (401, 402, 403)
    """Of the rooms; no encoder was trained on them, and no result is measured on them."""
    root: Path = Path("outputs/calibration")
    """Where rooms and runs are kept; what is there is not made again."""
    out: Path = ASSETS / f"tiny-clip{SUFFIX}"
    """The calibration."""

    def run(self) -> None:
        """Makes what is missing, fits and writes."""
        evidence, truth, space, asked = [], [], "", 0
        for seed in self.seeds:
            known = self.known_scene(seed)
            space = known.scene.text_encoder.space
            CONSOLE.log(f"Asking room {seed}")
            rng = np.random.default_rng(seed)
            for query in word_queries(known.infos, seed):
                question = known.scene.ask(Query(query.text))
                asked += 1
                for against in (question, *(against_some(question, rng) for _ in range(DRAWS))):
                    evidence.append(known.evidence(against).numpy())
                    truth.append(known.is_true(query.classes))
        layers = fit(np.concatenate(evidence), np.concatenate(truth))
        made = {"command": "python -m tools.fit_calibration", "seeds": self.seeds, "questions": asked}
        write_json(self.out, {"space": space, **made, "layers": layers})
        CONSOLE.log(f"Wrote {self.out}")

    def known_scene(self, seed: int) -> KnownScene:
        """A trained run of the room of a seed."""
        data = self.root / "rooms" / str(seed)
        if not (data / "transforms.json").exists():
            command = [sys.executable, "tools/make_scene.py", "--seed", str(seed), "--out", str(data)]
            subprocess.run([*command, "--renderer", "raycast"], check=True)
        return KnownScene.load(train(self.root, str(seed), data, 0, (*ENCODERS, *SHORT), threads=2).folder, data)


def fit(evidence: Float[np.ndarray, "samples 4"], truth: Bool[np.ndarray, " samples"]) -> list[dict]:
    """Weights and biases of one network of tanh layers whose logit is the mean of those of `NETWORKS` networks."""
    networks = [fit_one(evidence, truth, seed) for seed in range(NETWORKS)]
    first, middle, last = zip(*networks, strict=True)
    layers = [
        (np.concatenate([weight for weight, _ in first]), np.concatenate([bias for _, bias in first])),
        (block_diag(*[weight for weight, _ in middle]), np.concatenate([bias for _, bias in middle])),
        (
            np.concatenate([weight for weight, _ in last], axis=1) / NETWORKS,
            np.mean([bias for _, bias in last], axis=0),
        ),
    ]
    return [{"weight": weight.round(5).tolist(), "bias": bias.round(5).tolist()} for weight, bias in layers]


def fit_one(evidence: Float[np.ndarray, "samples 4"], truth: Bool[np.ndarray, " samples"], seed: int) -> list[Layer]:
    """The three layers of one network; the evidence's scaling is folded into the first."""
    chosen = np.random.default_rng(seed).permutation(len(evidence))[:SAMPLES]
    scaler = StandardScaler().fit(evidence[chosen])
    network = MLPClassifier(HIDDEN, activation="tanh", batch_size=BATCH, max_iter=PASSES, random_state=seed)  # pyright: ignore[reportArgumentType] - read from its default, "auto".
    network.fit(scaler.transform(evidence[chosen]), truth[chosen])
    CONSOLE.log(f"Mean log loss {network.loss_:.4f} over {len(chosen)} samples")
    (weight, bias), *others = zip([each.T for each in network.coefs_], network.intercepts_, strict=True)
    weight = weight / scaler.scale_
    return [(weight, bias - weight @ scaler.mean_), *others]


if __name__ == "__main__":
    tyro.cli(FitCalibration).run()
