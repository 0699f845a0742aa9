"""A model of a data frame with ids, strings and lists of them: no vocabulary, one collection."""

import polars
import torch
from torch import nn

from tablefree import EmbeddingCollection

clicks = polars.DataFrame(
    {
        "user_id": [17, 17, 2**63, 4],
        "item_id": ["sku-1", "sku-9", "sku-1", "sku-5"],
        "history": [["sku-9", "sku-5"], ["sku-1"], [], ["sku-1", "sku-1", "sku-9"]],
        "country": ["NL", "NL", "BR", "JP"],
        "clicked": [1.0, 0.0, 0.0, 1.0],
    }
)

shape = {"method": "deep_hash", "embedding_dim": 16, "num_hashes": 64, "hidden": [32]}
collection = EmbeddingCollection(
    {
        "user_id": shape,
        "item_id": shape,
        "history": {"shared_with": "item_id", "pooling": "mean"},  # a bag of items
        "country": shape,
    }
)
model = nn.Sequential(nn.Flatten(), nn.Linear(4 * 16, 1))
optimizer = torch.optim.Adam([*collection.parameters(), *model.parameters()], lr=0.01)
clicked = clicks["clicked"].to_torch().float()
for _ in range(50):
    embeddings = collection(clicks)  # a dict: feature -> [rows, 16]
    logits = model(torch.stack(list(embeddings.values()), dim=1)).squeeze(1)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, clicked)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

print(f"loss {loss.item():.3f}, {collection.describe().num_parameters:,} parameters")
