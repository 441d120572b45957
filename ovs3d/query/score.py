"""Where a query is the best answer, and what it stands against."""

from jaxtyping import Bool, Float
from torch import Tensor

from ovs3d.relevancy import against_negatives, relevancy

OTHER_NAME = 0.95
"""Words whose embeddings are at least so near to the query are other names of it, and no negatives."""


def score(
    similarity: Float[Tensor, "*n"], to_negatives: Float[Tensor, "*n negatives"]
) -> tuple[Float[Tensor, "*n"], Bool[Tensor, "*n"]]:
    """`against_negatives`, and where a feature is more like the query than like every negative.

    Args:
        similarity: cosines of features and query, in [-1, 1].
        to_negatives: cosines of the same features and the negatives, at least one.
    """
    scores = against_negatives(similarity[..., None], to_negatives)[..., 0]
    return scores, scores > 0.5


def rivals(query: Float[Tensor, " dim"], words: Float[Tensor, "words dim"]) -> Bool[Tensor, " words"]:
    """Which words may stand against a query in words: all but the nearest one, and those that are other names of it.

    The nearest is left out because words that say less ("a bottle", and the class is "plain cyan bottle") would lose to
    it everywhere. What is looked for but is not there is therefore found where its nearest class is, if anywhere.
    """
    similarity = relevancy(words, query[None])[:, 0]
    others = similarity < OTHER_NAME
    others[similarity.argmax()] = False
    return others
