"""Two towers: the items for a user are those with the nearest vectors, new items among them.

The other items of a batch are the negatives, so an item is one as often as it is clicked. Its log
frequency, taken off its scores, makes the softmax over a batch estimate that over all items (Yi et
al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", 2019).
"""

import polars
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from tablefree import DeepHashEmbedding, EmbeddingCollection, hash_strings, presets

# Each of 1,000 users likes one of 8 genres, and mostly clicks on what is popular in it.
numbers = torch.arange(400)
items = polars.DataFrame(
    {"item_id": [f"track {i}" for i in numbers], "genre": [f"genre {i % 8}" for i in numbers]}
)
user_ids = hash_strings([f"user {number}" for number in range(1000)])
clicking = torch.randint(1000, (20_000,))
popular = torch.empty(20_000).exponential_(0.1).long() % 50
clicked = popular * 8 + clicking % 8
log_frequencies = (torch.bincount(clicked) / len(clicked)).log()

users = presets.sketch(16, capacity=1000, size=1 / 2, seed="user_id")
features = EmbeddingCollection.from_embeddings(
    {
        "item_id": presets.sketch(16, capacity=400, size=1 / 2, seed="item_id"),
        "genre": DeepHashEmbedding(16, num_hashes=64, hidden=(32,), norm="none", seed="genre"),
    }
)


def user_tower(ids: Tensor) -> Tensor:
    """Vectors of users, of length 1."""
    return normalize(users(ids), dim=1)


def item_tower(table: polars.DataFrame) -> Tensor:
    """Vectors of items, of length 1: the sum of those of their features, scaled."""
    return normalize(sum(features(table).values()), dim=1)


optimizer = torch.optim.Adam([*users.parameters(), *features.parameters()], lr=0.03)
for _ in range(5):
    for batch in torch.randperm(len(clicked)).split(250):
        vectors = item_tower(items[clicked[batch].tolist()])
        scores = user_tower(user_ids[clicking[batch]]) @ vectors.T / 0.1  # a temperature
        scores = scores - log_frequencies[clicked[batch]]
        loss = cross_entropy(scores, torch.arange(len(batch)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

for module in (users, features):
    module.eval().requires_grad_(False)
best = (user_tower(user_ids) @ item_tower(items).T).topk(10).indices  # by brute force
likes = torch.arange(1000) % 8
print(f"loss {loss.item():.2f}; for user 3: {', '.join(items['item_id'][best[3, :3].tolist()])}")
print(f"of the genre that is liked: {(best % 8 == likes[:, None]).float().mean():.0%} of 10 items")

# An id that nobody has met needs no row, and here its genre says where it belongs.
new = polars.DataFrame({"item_id": ["just released"], "genre": ["genre 3"]})
scores = (user_tower(user_ids) @ item_tower(new).T).squeeze(1)
print(f"a new track: {scores[likes == 3].mean():.2f} to who likes its genre", end=", ")
print(f"{scores[likes != 3].mean():.2f} to others")
