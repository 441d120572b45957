"""Where a query is the best answer, and what it stands against."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ovs3d.query.calibration import Calibration, gather_evidence
from ovs3d.relevancy import against_negatives, relevancy

FOUND = 0.5
"""What is shown above it, confidence or score, belongs to the mask."""
OTHER_NAME = 0.95
"""Words whose embeddings are at least so near to the query are other names of it, and no negatives."""


@dataclass(frozen=True)
class Question:
    """A unit vector, and unit vectors of what else could be said, all in the space of the scene's features."""

    name: str
    vector: Float[Tensor, " dim"]
    others: Float[Tensor, "others dim"]
    negatives: Bool[Tensor, " others"]
    """Which of the others it is not, at least one."""
    calibration: Calibration | None = None
    """Of words in the scene's space, where there is one."""
    strict: bool = False
    """Whether what is nearer to a negative is never it, as where the negatives were named."""

    @property
    def vectors(self) -> Float[Tensor, "vectors dim"]:
        """What features are compared with: the question's own vector and then the others."""
        return torch.cat([self.vector[None], self.others])

    def evidence(self, similarity: Float[Tensor, "*n"], to_others: Float[Tensor, "*n others"]) -> Float[Tensor, "*n 4"]:
        """What a calibration judges by, from the cosines of features with `vectors`."""
        return gather_evidence(similarity, to_others, relevancy(self.vector[None], self.others)[0])


@dataclass(frozen=True)
class Judgement:
    """How well features fit a question."""

    scores: Float[Tensor, "*n"]
    """`against_negatives`: 0.5 = as near to the query as to a negative."""
    confidence: Float[Tensor, "*n"] | None
    """Probability that the query is true of what is seen, and 0 where a named negative is nearer (`Question.strict`);
    None where nothing is calibrated."""
    mask: Bool[Tensor, "*n"]
    """Where the confidence is greater than 0.5, or without a calibration where it is nearer than every negative."""

    @property
    def shown(self) -> Float[Tensor, "*n"]:
        """What pictures show, in [0, 1]: the confidence, or the score where nothing is calibrated."""
        return self.scores if self.confidence is None else self.confidence


def judge(question: Question, similarity: Float[Tensor, "*n"], to_others: Float[Tensor, "*n others"]) -> Judgement:
    """Judges features by their cosines with the question's vector and its others."""
    scores = against_negatives(similarity[..., None], to_others[..., question.negatives])[..., 0]
    if question.calibration is None:
        return Judgement(scores, None, scores > FOUND)
    confidence = question.calibration(question.evidence(similarity, to_others))
    if question.strict:
        confidence = confidence * (scores > FOUND)
    return Judgement(scores, confidence, confidence > FOUND)


def rivals(query: Float[Tensor, " dim"], words: Float[Tensor, "words dim"]) -> Bool[Tensor, " words"]:
    """Which words may stand against a query in words: all but the nearest one, and those that are other names of it.

    The nearest is left out because words that say less ("a bottle", and the class is "plain cyan bottle") would lose to
    it everywhere. Without a calibration, what is not there is therefore found where its nearest class is, if anywhere.
    """
    similarity = relevancy(words, query[None])[:, 0]
    others = similarity < OTHER_NAME
    others[similarity.argmax()] = False
    return others
