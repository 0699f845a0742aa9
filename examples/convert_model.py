"""Train a model without the table of its million items: one line between it and its optimizer."""

import torch
from torch import nn

import tablefree

model = nn.Sequential(nn.Embedding(1_000_000, 16), nn.Flatten(), nn.Linear(2 * 16, 1))
model, report = tablefree.convert(model, size=1 / 16)
print(report)

optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
items = torch.randint(1_000_000, (256, 2))
for _ in range(20):
    loss = nn.functional.mse_loss(model(items).squeeze(), (items.sum(1) % 2).float())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loss {loss.item():.3f}; a table again: {tablefree.materialize(model)[0]}")
