"""DCN-V2: layers that multiply all inputs by each other, beside a perceptron.

Wang et al., "DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to
Rank Systems", 2021. A cross layer multiplies the inputs, one by one, by a linear map of the layer
before, so that after n layers there are products of up to n + 1 inputs. Of the paper's two ways to
join the networks this is the parallel one, with full matrices.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tablefree.checks import check_memory, check_positive
from tablefree.embeddings import EmbeddingCollection
from tablefree.models.field_model import Embeddings, FieldModel, perceptron, widths_of


class DCN(FieldModel):
    """The score is linear in cross(inputs) and deep(inputs), side by side.

    The inputs x are the embeddings and the dense features, side by side. Each cross layer makes of
    its own input y the output x * (W y + b) + y.

    Args:
        embeddings: of the sparse features, of any widths: tables, table-free or both.
        num_dense: number of dense features.
        num_crosses: number of cross layers, each with a matrix from all inputs to all inputs.
        hidden: widths of the perceptron's layers.

    Raises:
        InputError: a size that is none, or matrices that the machine has no memory for.

    Example:
        >>> shape = {"method": "deep_hash", "embedding_dim": 8, "num_hashes": 64, "hidden": [32]}
        >>> embeddings = EmbeddingCollection({"user": shape, "item": shape, "city": shape})
        >>> model = DCN(embeddings, num_dense=2)
        >>> model(torch.randint(100, (5, 3)), torch.randn(5, 2)).shape
        torch.Size([5])
    """

    sizes = ("num_crosses", "hidden")

    def __init__(
        self,
        embeddings: EmbeddingCollection,
        num_dense: int = 0,
        *,
        num_crosses: int = 2,
        hidden: Sequence[int] = (64, 32),
    ) -> None:
        check_positive(num_crosses=num_crosses)
        super().__init__(embeddings, num_dense, num_crosses=num_crosses, hidden=hidden)
        width = sum(widths_of(embeddings)) + num_dense
        check_memory(num_crosses, width, width)
        self.crosses = nn.ModuleList(nn.Linear(width, width) for _ in range(num_crosses))
        self.deep = perceptron(width, *hidden)
        self.output = nn.Linear(width + [width, *hidden][-1], 1)

    def score(
        self, embeddings: Embeddings, dense: Float[Tensor, "*batch num_dense"] | None
    ) -> Float[Tensor, "*batch"]:
        """The output of the last layer."""
        inputs = _side_by_side(embeddings, dense)
        crossed = inputs
        for cross in self.crosses:
            crossed = inputs * cross(crossed) + crossed
        score: Tensor = self.output(torch.cat([crossed, self.deep(inputs)], dim=-1))
        return score.squeeze(-1)


def _side_by_side(
    embeddings: Embeddings, dense: Float[Tensor, "*batch num_dense"] | None
) -> Float[Tensor, "*batch width"]:
    if isinstance(embeddings, Tensor):
        parts = [embeddings.flatten(-2)]
    else:
        parts = list(embeddings.values())
    return torch.cat(parts if dense is None else [*parts, dense], dim=-1)
