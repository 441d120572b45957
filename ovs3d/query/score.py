"""How much more a feature is like a query than like anything that the query is not."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ovs3d.relevancy import relevancy

TEMPERATURE = 0.1
"""Of the softmax between the query and a negative, as in LERF's code."""
SAME = 0.95
"""Vectors at least so near to the query are other names of it, and no negatives."""


def score(
    similarity: Float[Tensor, "*n"], to_negatives: Float[Tensor, "*n negatives"]
) -> tuple[Float[Tensor, "*n"], Bool[Tensor, "*n"]]:
    """LERF's relevancy (arXiv 2303.09553, section 3.4), and where the query is the best answer.

    Args:
        similarity: cosines of features and query, in [-1, 1].
        to_negatives: cosines of the same features and the negatives, at least one.

    Returns:
        min over negatives of the softmax of query and negative, in [0, 1]; and whether it is greater than 0.5, that is
        whether a feature is more like the query than like every negative, whatever the temperature.
    """
    lead = similarity - to_negatives.amax(dim=-1)
    return torch.sigmoid(lead / TEMPERATURE), lead > 0.0


def rivals(query: Float[Tensor, " dim"], candidates: Float[Tensor, "classes dim"]) -> Bool[Tensor, " classes"]:
    """Which candidates may stand against a query: all but the nearest one, and those that are other names of it.

    The nearest is left out because words that say less ("a bottle", and the class is "plain cyan bottle") would lose to
    it everywhere. What is looked for but is not there is therefore found where its nearest class is, if anywhere.
    """
    similarity = relevancy(candidates, query[None])[:, 0]
    others = similarity < SAME
    others[similarity.argmax()] = False
    return others
