"""Bags of strings, without a vocabulary: learn which words make a review a good one."""

import torch
from torch import nn

from tablefree import DeepHashEmbedding, EmbeddingBag, to_ids

reviews = ["great fun", "great acting and great music", "dull", "dull and far too long", ""]
is_good = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0])  # the last says nothing: its bag is empty

bags = [review.split() for review in reviews]
ids = to_ids([word for bag in bags for word in bag])
offsets = torch.tensor([0, *map(len, bags)]).cumsum(0)  # where each bag starts, and the end

# The call is that of nn.EmbeddingBag; any embedding will do, with a table or without.
words = DeepHashEmbedding(8, num_hashes=64, hidden=(32,), norm="none", seed="word")
bag = EmbeddingBag(words, mode="mean", include_last_offset=True)
output = nn.Linear(8, 1)
optimizer = torch.optim.Adam([*bag.parameters(), *output.parameters()], lr=0.01)
for _ in range(100):
    logits = output(bag(ids, offsets)).squeeze(1)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, is_good)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loss {loss.item():.3f}")

# Bags are also the rows of a nested tensor, and a new word needs no new row.
new = torch.nested.nested_tensor([to_ids(["great", "finale"])], layout=torch.jagged)
print(f"'great finale' is good: {output(bag(new)).sigmoid().item():.2f}")
