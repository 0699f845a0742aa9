"""Strings as ids: no vocabulary to build, to store or to run out of."""

import torch

import tablefree

embedding = tablefree.SketchEmbedding(16, num_rows=1000, code_width=4, seed="city")

ids = tablefree.hash_strings(["Zürich", "東京", "Lagos"])
print(f"ids {ids.tolist()}, embeddings {tuple(embedding(ids).shape)}")

# The same id wherever the string comes from, in every process and version.
print(f"alone or in a list: {torch.equal(tablefree.hash_strings('Lagos'), ids[2:])}")

# Nobody has ever seen this one, and it needs no row.
print(f"a new city: {tuple(embedding(tablefree.hash_strings('Reykjavík')).shape)}")
