"""One of two processes that train a converted model; the first also trains it alone."""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tablefree import convert

IDS, TARGETS = torch.arange(64) * 31 % 1000, torch.linspace(-1, 1, 64)


def build():
    torch.manual_seed(0)
    return convert(nn.Sequential(nn.Embedding(1000, 8, padding_idx=0), nn.Linear(8, 1)))[0]


def train(model, ids, targets):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (model(ids).squeeze(-1) - targets).square().mean().backward()
        optimizer.step()


def main(rank, folder):
    dist.init_process_group(
        "gloo", init_method=(folder / "rendezvous").as_uri(), rank=rank, world_size=2
    )
    model = build()
    train(DistributedDataParallel(model), IDS[rank::2], TARGETS[rank::2])
    torch.save(
        {name: p.detach() for name, p in model.named_parameters()}, folder / f"rank{rank}.pt"
    )
    if rank == 0:
        alone = build()
        train(alone, IDS, TARGETS)
        torch.save({name: p.detach() for name, p in alone.named_parameters()}, folder / "alone.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    main(int(sys.argv[1]), Path(sys.argv[2]))
