"""From embeddings back to tables: the rows of all ids, computed once."""

from typing import overload

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.conversion.adapters import Converted, ConvertedEmbeddingBag, replace_modules
from tablefree.embeddings import Embedding
from tablefree.errors import InputError
from tablefree.ids import tensor_ids

_TILE = 65_536  # ids embedded at once


@overload
def materialize(model: Embedding, ids: Int[Tensor, " n"]) -> nn.Embedding: ...
@overload
def materialize(model: nn.Module, ids: None = None) -> nn.Module: ...
def materialize(model: nn.Module, ids: Tensor | None = None) -> nn.Module:
    """Turn what `convert` put into a model into `nn.Embedding` and `nn.EmbeddingBag` again.

    Rows are those that the embeddings compute in evaluation. The tables have the call, device,
    dtype and mode that they had before the conversion. The model is changed in place, which makes
    new parameters: build optimizers afterwards.

    Args:
        model: with converted tables, or one itself; or any tablefree `Embedding` alone.
        ids: for an `Embedding` alone, the ids of the rows.

    Returns:
        The model, or the table where the model itself is one.

    Raises:
        InputError: an `Embedding` alone without ids, or ids for anything else.

    Example:
        >>> from tablefree import HashingTrick, convert
        >>> model = torch.nn.Sequential(torch.nn.Embedding(10_000, 8))
        >>> model, _ = convert(model)
        >>> materialize(model)
        Sequential(
          (0): Embedding(10000, 8)
        )
        >>> materialize(HashingTrick(100, 8, seed="tag"), torch.tensor([7, -7]))
        Embedding(2, 8)
    """
    if isinstance(model, Embedding):
        if ids is None:
            raise InputError("an embedding takes any ids: say of which to make a table")
        if tensor_ids(ids).ndim != 1:
            raise InputError(f"ids must be of one dimension, a row each; got {tuple(ids.shape)}")
        rows = _rows(model, tensor_ids(ids))
        return nn.Embedding(len(rows), model.embedding_dim, _weight=rows)
    if ids is not None:
        raise InputError(
            "ids are for one tablefree Embedding; the tables of a converted model have their sizes"
        )
    converted = [module for module in model.modules() if isinstance(module, Converted)]
    return replace_modules(model, {module: _original(module) for module in converted})


def _original(module: Converted) -> nn.Module:
    """The module that was replaced, with the rows of now."""
    rows = _rows(module.embedding, torch.arange(module.num_embeddings))
    if module.padding_idx is not None:
        rows[module.padding_idx] = 0
    size, width, padding_idx = module.num_embeddings, rows.shape[1], module.padding_idx
    table: nn.Module
    if isinstance(module, ConvertedEmbeddingBag):
        table = nn.EmbeddingBag(
            size,
            width,
            mode=module.mode,
            include_last_offset=module.include_last_offset,
            padding_idx=padding_idx,
            _weight=rows,
        )
    else:
        table = nn.Embedding(size, width, padding_idx=padding_idx, _weight=rows)
    learns = any(parameter.requires_grad for parameter in module.parameters())
    return table.requires_grad_(learns).train(module.training)


@torch.no_grad()
def _rows(embedding: Embedding, ids: Int[Tensor, " n"]) -> Float[Tensor, "n embedding_dim"]:
    """The embeddings in evaluation, in the dtype of the parameters."""
    parameter = next(embedding.parameters(), None)
    if parameter is None:
        raise InputError("an embedding without weights of its own, as a frozen one, makes no table")
    was_training = embedding.training
    embedding.eval()
    tiles = torch.split(ids.to(parameter.device), _TILE)
    rows = torch.cat([embedding(tile).to(parameter.dtype) for tile in tiles])
    embedding.train(was_training)
    return rows
