"""Real processes that train one sketch together, each on batches of its own."""

import subprocess
import sys

import pytest
import torch

from tablefree.encodings import SketchEncoding
from tablefree.encodings.processes import data_parallel_group

START = """
import contextlib, datetime, sys, torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from tablefree import InputError, SketchEmbedding
from tablefree.encodings.row_claims import RowClaims
torch.set_num_threads(1)
rank, address, result = int(sys.argv[1]), sys.argv[2], sys.argv[3]
distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
distributed.all_gather_object = None  # nothing of another process may be unpickled
"""
CLAIM = """
claims = RowClaims(160, seed=0)
claims.process_group = distributed.group.WORLD
for step in range(3):  # the second process has nothing new after the first
    claims.claim(torch.arange(20) + 20 * step if rank == 0 else torch.arange(30, 50))
torch.save(claims.fingerprints, result)
claims.process_group = None  # or the group would outlive its end, and its threads the interpreter
"""
TRAIN = """
torch.manual_seed(0)
embedding = SketchEmbedding(4, num_rows=9, code_width=2, capacity=320, seed=0)
model = DistributedDataParallel(nn.Sequential(embedding, nn.Linear(4, 1)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
sent, broadcast = [], model._distributed_broadcast_coalesced
def count(tensors, *others, **more):
    sent.append(len(tensors))
    broadcast(tensors, *others, **more)
model._distributed_broadcast_coalesced = count
num_steps = 6 - (UNEVEN and rank == 1)
try:
    with model.join() if JOIN else contextlib.nullcontext():
        for step in range(num_steps):
            optimizer.zero_grad()
            model(torch.arange(5) + 100 * step + 7 * rank).square().mean().backward()
            optimizer.step()
    end = "done"
except InputError as error:
    end = str(error)
torch.save([end, sent, embedding.encoding.claims.fingerprints, embedding.state_dict()], result)
"""
END = """
distributed.destroy_process_group()
"""


def run(tmp_path, script):
    """What two processes saved."""
    address = f"file://{tmp_path / 'rendezvous'}"
    results = [tmp_path / f"{rank}.pt" for rank in range(2)]
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(rank), address, str(result)])
        for rank, result in enumerate(results)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    return list(map(torch.load, results))


def test_processes_of_a_group_claim_the_same_rows(tmp_path):
    first, second = run(tmp_path, START + CLAIM + END)
    assert torch.equal(first, second)
    assert torch.count_nonzero(first.view(torch.int16)) == 60


def test_outside_data_parallel_training_a_process_claims_for_itself(tmp_path):
    first, second = run(tmp_path, START + CLAIM.replace("distributed.group.WORLD", "None") + END)
    assert torch.count_nonzero(first.view(torch.int16)) > 50
    assert torch.count_nonzero(second.view(torch.int16)) == 20


def train(uneven, join):
    return START + f"UNEVEN, JOIN = {uneven}, {join}" + TRAIN + END


def test_data_parallel_processes_stay_equal_and_do_not_send_their_claims(tmp_path):
    first, second = run(tmp_path, train(uneven=False, join=False))
    assert first[0] == second[0] == "done"
    assert torch.count_nonzero(first[2].view(torch.int16)) > 30
    for name, value in first[3].items():
        assert torch.equal(value, second[3][name])
    assert first[1] == [1]  # with the first forward pass alone


@pytest.mark.parametrize("join", [False, True])
def test_processes_with_unequal_numbers_of_batches_end_with_a_reason(tmp_path, join):
    ends = [result[0] for result in run(tmp_path, train(uneven=True, join=join))]
    if join:
        assert all("leave join() and give all processes as many batches" in end for end in ends)
    else:
        assert ends[1] == "done"
        assert "another process of the training did not answer" in ends[0]


def test_one_process_alone_has_no_group():
    assert data_parallel_group(SketchEncoding(4, 3, capacity=16, seed=0)) is None
