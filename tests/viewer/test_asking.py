"""What is typed or clicked becomes questions."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ovs3d.errors import UserError
from ovs3d.query.calibration import Calibration
from ovs3d.query.score import Question, judge
from ovs3d.relevancy import relevancy, unit
from ovs3d.viewer.asking import Asked, Asker, words_of
from tests.test_model import make_model


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        (" ,\n, ", ()),
        ("a  red\tcone", ("a red cone",)),
        ("a, b\nc,a", ("a", "b", "c")),
        ("\u8336\u676f, \u0434\u0432\u0435\u0440\u044c", ("\u8336\u676f", "\u0434\u0432\u0435\u0440\u044c")),
    ],
)
def test_words_stand_between_commas_or_lines(text: str, words: tuple[str, ...]) -> None:
    assert words_of(text) == words


def test_shared_vectors_are_compared_once_and_change_no_score() -> None:
    vectors = unit(torch.randn(5, 7, generator=torch.Generator().manual_seed(0)))
    all_four, both = (torch.ones(count, dtype=torch.bool) for count in (4, 2))
    questions = [Question("a", vectors[0], vectors[1:], all_four), Question("b", vectors[1], vectors[[0, 2]], both)]
    asked = Asked.of(questions)
    assert asked.names == ("a", "b") and asked.vectors.shape == (5, 7)
    features = torch.randn(3, 4, 7, generator=torch.Generator().manual_seed(1))
    scores = asked.scores(relevancy(features, asked.vectors))
    for index, question in enumerate(questions):
        cosines = relevancy(features, question.vector[None])[..., 0], relevancy(features, question.others)
        torch.testing.assert_close(scores[..., index], judge(question, *cosines).scores)


def test_confidence_stands_for_the_score_where_there_is_one() -> None:
    half = Calibration(((torch.zeros(1, 4), torch.zeros(1)),))
    vectors = unit(torch.randn(3, 7, generator=torch.Generator().manual_seed(0)))
    asked = Asked.of([Question("a", vectors[0], vectors[1:], torch.ones(2, dtype=torch.bool), half)])
    assert asked.scores(torch.rand(4, 3)).tolist() == [[0.5]] * 4


def test_nothing_is_asked_before_the_semantic_stage() -> None:
    pipeline: Any = SimpleNamespace(model=make_model())
    asker = Asker(pipeline, nullcontext())
    with pytest.raises(UserError, match="begins at step 10"):
        asker.words(("a",), ())
    with pytest.raises(UserError, match="begins at step 10"):
        asker.like((0.0, 0.0, 0.0), (1.0, 0.0, 0.0))


def test_word_is_asked_once_and_what_cannot_be_asked_is_told() -> None:
    model = make_model()
    model.set_step(10)
    asker = Asker(SimpleNamespace(model=model), nullcontext())  # pyright: ignore[reportArgumentType]
    asked: list[str] = []

    def ask(query: Any) -> Question:
        asked.append(query.text)
        if query.text == "unknown":
            raise UserError('"unknown" is not a word.')
        return Question(query.text, torch.ones(5), torch.ones(1, 5), torch.ones(1, dtype=torch.bool))

    asker.__dict__["scene"] = SimpleNamespace(ask=ask)
    questions, problems = asker.words(("a", "unknown", "b"), ())
    assert [question.name for question in questions] == ["a", "b"] and problems == ['"unknown" is not a word.']
    asker.words(("a", "c"), ())
    assert asked == ["a", "unknown", "b", "c"]
    asker.words(("a",), ("wall",))
    assert asked[-1] == "a"  # Against others it is another question.
