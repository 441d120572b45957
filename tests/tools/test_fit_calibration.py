"""The calibration's fit: questions against fewer classes, and several networks written as one."""

import numpy as np
import pytest
import torch

from ovs3d.query.calibration import Calibration
from ovs3d.query.score import Question
from tools import fit_calibration
from tools.queries.evidence import against_some


def test_fewer_classes_keep_their_own_vectors_and_at_least_one() -> None:
    others, negatives = torch.eye(5), torch.tensor([True, False, True, True, False])
    question = Question("a mug", torch.ones(5), others, negatives)
    rng, sizes = np.random.default_rng(0), set()
    for _ in range(60):
        few = against_some(question, rng)
        which = few.others.argmax(dim=-1)
        assert len(which.unique()) == len(few.others), "no class twice"
        assert torch.equal(few.others, others[which]) and torch.equal(few.negatives, negatives[which])
        sizes.add(len(which))
    assert sizes == {1, 2, 3, 4, 5}


def test_networks_are_written_as_one_of_their_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SAMPLES", 4000), ("BATCH", 50)):
        monkeypatch.setattr(fit_calibration, name, value)
    rng = np.random.default_rng(0)
    evidence = (5.0 + rng.normal(size=(5000, 4)) * [1.0, 0.1, 3.0, 1.0]).astype(np.float32)
    truth = evidence[:, 0] + 0.2 * rng.normal(size=5000) > 5.0

    def logits(layers: list[dict]) -> torch.Tensor:
        pairs = [(torch.tensor(layer["weight"]), torch.tensor(layer["bias"])) for layer in layers]
        return torch.logit(Calibration(tuple(pairs))(torch.from_numpy(evidence[:200])).double())

    def as_layers(network: list[fit_calibration.Layer]) -> list[dict]:
        return [{"weight": weight.tolist(), "bias": bias.tolist()} for weight, bias in network]

    together = logits(fit_calibration.fit(evidence, truth))
    alone = [logits(as_layers(fit_calibration.fit_one(evidence, truth, seed))) for seed in range(3)]
    torch.testing.assert_close(together, torch.stack(alone).mean(dim=0), atol=2e-3, rtol=1e-3)
    assert not torch.allclose(alone[0], alone[1], atol=0.1)
    clear = np.abs(evidence[:200, 0] - 5.0) > 1.0
    assert ((together.numpy() > 0) == truth[:200])[clear].all()
