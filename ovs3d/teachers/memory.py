"""Batches of an encoder that grow smaller when a GPU's memory does not hold them."""

import logging
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ovs3d.errors import UserError

log = logging.getLogger(__name__)


class Batches:
    """How much goes through an encoder at a time: halved, for good, whenever a GPU runs out of memory.

    What is encoded does not depend on it, up to the rounding of the GPU's matrix products.
    """

    def __init__(self, limit: int) -> None:
        """Takes the largest batch, in units of `cost` of `encode`."""
        self.limit = limit

    def encode(
        self, encode: Callable[[int, int], Tensor], count: int, cost: int = 1
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Yields (first, last, `encode(first, last)`) for batches that cover 0 to `count` in order.

        Args:
            encode: encodes the items from `first` to before `last`; called again with fewer when memory runs out, so
                that it must leave nothing behind.
            count: number of items.
            cost: what one item counts against the limit; a batch has at least one item.

        Raises:
            UserError: a GPU's memory does not hold a single item.
        """
        first = 0
        while first < count:
            last = min(count, first + max(1, self.limit // cost))
            try:
                encoded = encode(first, last)
            except torch.cuda.OutOfMemoryError as error:
                if last - first == 1:
                    raise UserError(
                        "The GPU's memory does not hold the encoder with one picture at a time: end other programs on "
                        "that GPU, choose a smaller encoder, or compute the features on the CPU first, with ovs3d "
                        "extract --device cpu."
                    ) from error
                encoded = None
            if encoded is None:
                # Only after its handler has the error let go of the failed batch.
                torch.cuda.empty_cache()
                self.limit = (last - first) // 2 * cost
                log.warning("The GPU's memory does not hold a batch of %d; halved.", last - first)
                continue
            yield first, last, encoded
            first = last
