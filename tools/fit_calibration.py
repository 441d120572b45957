"""Fits how likely tiny-clip's words are true, from questions about rooms that no result is measured on.

Trains a run of every room, asks it what `tools/queries/generate.py` asks, and fits a small network from the evidence at
the points of the scenes to the truth there. Every question stands against random parts of the run's classes: users name
two of them, or twenty. Writes ovs3d/assets/tiny-clip-calibration.json.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Bool, Float
from nerfstudio.utils.rich_utils import CONSOLE
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from ovs3d.evaluation.report import write_json
from ovs3d.query.ask import Query
from ovs3d.query.calibration import ASSETS, SUFFIX
from tools.queries.evidence import KnownScene, against_some
from tools.queries.generate import word_queries
from tools.results.runs import train
from tools.results.variants import ENCODERS

SHORT = ("--geometry-steps", "1000", "--max-num-iterations", "1600")
"""Shapes need not be exact here."""
HIDDEN = (24, 24)
SAMPLES, PASSES, BATCH = 2_000_000, 8, 2000
"""Of the evidence, and over it: more of either makes the network surer than it is right in a room that was left out."""
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
        evidence, truth, space = [], [], ""
        for seed in self.seeds:
            known = self.known_scene(seed)
            space = known.scene.text_encoder.space
            CONSOLE.log(f"Asking room {seed}")
            rng = np.random.default_rng(seed)
            for query in word_queries(known.infos, seed):
                question = known.scene.ask(Query(query.text))
                for _ in range(DRAWS):
                    evidence.append(known.evidence(against_some(question, rng)).numpy())
                    truth.append(known.is_true(query.classes))
        layers = fit(np.concatenate(evidence), np.concatenate(truth))
        made = {"command": "python -m tools.fit_calibration", "seeds": self.seeds, "questions": len(truth)}
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
    """Weights and biases of a network of tanh layers; the evidence's scaling is folded into the first."""
    chosen = np.random.default_rng(0).permutation(len(evidence))[:SAMPLES]
    scaler = StandardScaler().fit(evidence[chosen])
    network = MLPClassifier(HIDDEN, activation="tanh", batch_size=BATCH, max_iter=PASSES, random_state=0)  # pyright: ignore[reportArgumentType] - read from its default, "auto".
    network.fit(scaler.transform(evidence[chosen]), truth[chosen])
    CONSOLE.log(f"Mean log loss {network.loss_:.4f} over {len(chosen)} samples")
    weights = [coefficients.T for coefficients in network.coefs_]
    biases = list(network.intercepts_)
    weights[0] = weights[0] / scaler.scale_
    biases[0] = biases[0] - weights[0] @ scaler.mean_
    pairs = zip(weights, biases, strict=True)
    return [{"weight": weight.round(5).tolist(), "bias": bias.round(5).tolist()} for weight, bias in pairs]


if __name__ == "__main__":
    tyro.cli(FitCalibration).run()
