"""What the viewer renders in the place of the model."""

from threading import Thread
from typing import Any

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras

from ovs3d.pca import PrincipalColours
from ovs3d.query.score import Question
from ovs3d.relevancy import unit
from ovs3d.viewer import rendering
from ovs3d.viewer.asking import Asked
from ovs3d.viewer.rendering import Look, ViewedModel
from tests.test_model import CLASSES, make_model

CAMERA = Cameras(torch.eye(4)[None, :3], fx=6.0, fy=6.0, cx=4.0, cy=3.0, width=8, height=6)
VECTORS = unit(torch.randn(3, 5, generator=torch.Generator().manual_seed(3)))
ASKED = Asked.of([Question("a", VECTORS[0], VECTORS[1:], torch.ones(2, dtype=torch.bool))])


def look(*outputs: str, **changes: Any) -> Look:
    features = torch.randn(20, 5, generator=torch.Generator().manual_seed(4))
    everything: dict[str, Any] = {
        "asked": ASKED, "threshold": 0.0, "opacity": 1.0, "shown": torch.ones(len(CLASSES), dtype=torch.bool),
        "colours": PrincipalColours.fit(unit(features)),
    }  # fmt: skip
    return Look(frozenset(outputs), **(everything | changes))


def make_semantic_model() -> Any:
    model = make_model().eval()
    model.set_step(10)
    return model


def test_before_the_semantics_nothing_is_added() -> None:
    model = make_model().eval()
    outputs = ViewedModel(model, lambda: pytest.fail("nothing is asked")).get_outputs_for_camera(CAMERA)
    assert set(outputs) == set(model.get_outputs_for_camera(CAMERA))


@pytest.mark.parametrize("shown", ["rgb", "segmentation", "relevancy", "selection", "pca"])
def test_names_stay_and_only_what_is_looked_at_is_computed(shown: str) -> None:
    model = make_semantic_model()
    outputs = ViewedModel(model, lambda: look(shown)).get_outputs_for_camera(CAMERA)
    plain = model.get_outputs_for_camera(CAMERA)
    assert list(outputs) == [*plain, "relevancy", "selection", "pca"]
    for name in ("relevancy", "selection", "pca"):
        assert outputs[name].shape == (6, 8, 3)
        assert torch.equal(outputs[name], plain["rgb"]) == (name != shown)
    for name in ("rgb", "depth", "class_id", "segmentation"):
        torch.testing.assert_close(outputs[name], plain[name])
    assert model.extra_outputs == ()


def test_strips_make_the_same_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    viewed = ViewedModel(make_semantic_model(), lambda: look("relevancy", "pca", "selection"))
    whole = viewed.get_outputs_for_camera(CAMERA)
    monkeypatch.setattr(rendering, "STRIP", 20)
    for name, value in viewed.get_outputs_for_camera(CAMERA).items():
        torch.testing.assert_close(value, whole[name])


def test_without_a_question_relevancy_is_the_picture() -> None:
    outputs = ViewedModel(make_semantic_model(), lambda: look("relevancy", asked=None)).get_outputs_for_camera(CAMERA)
    assert torch.equal(outputs["relevancy"], outputs["rgb"])


def test_the_rest_is_the_models_own() -> None:
    model = make_semantic_model()
    viewed = ViewedModel(model, look)
    viewed.train()
    assert model.training and viewed.training and viewed.device == model.device


def test_beside_training_a_render_takes_one_processor() -> None:
    """Of its own thread, and all of them when training is over; that of the training keeps its number."""
    before, seen, training = torch.get_num_threads(), [], [True, False]
    torch.set_num_threads(2)
    viewed = ViewedModel(make_semantic_model(), lambda: look("rgb"), lambda: training[len(seen)])

    def render() -> None:
        for _ in training:
            viewed.get_outputs_for_camera(CAMERA)
            seen.append(torch.get_num_threads())

    thread = Thread(target=render)
    thread.start()
    thread.join()
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert (seen, after) == ([1, 2], 2)
