"""Real processes that train one sketch together, each on batches of its own."""

import subprocess
import sys

import pytest
import torch

from tablefree.encodings import SketchEncoding
from tablefree.encodings.processes import data_parallel_group

SCRIPT = """
import contextlib, sys, torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from tablefree import InputError, SketchEmbedding
from tablefree.encodings.row_claims import RowClaims
torch.set_num_threads(1)
rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.all_gather_object = None  # nothing of another process may be unpickled

@contextlib.contextmanager
def together(name):
    address = f"file://{folder}/{name}"
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    result = []
    yield result
    torch.save(result, f"{folder}/{name}.{rank}.pt")
    distributed.destroy_process_group()

def claim(name, in_group):
    with together(name) as result:
        claims = RowClaims(160, seed=0)
        claims.process_group = distributed.group.WORLD if in_group else None
        for step in range(3):  # the second process has nothing new after the first
            claims.claim(torch.arange(20) + 20 * step if rank == 0 else torch.arange(30, 50))
        result.append(claims.fingerprints)
        claims.process_group = None  # or the group would outlive its end, and its threads ours

def train(name, uneven, join):
    with together(name) as result:
        torch.manual_seed(0)
        embedding = SketchEmbedding(4, num_rows=9, code_width=2, capacity=320, seed=0)
        model = DistributedDataParallel(nn.Sequential(embedding, nn.Linear(4, 1)))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        sent, broadcast = [], model._distributed_broadcast_coalesced
        def count(tensors, *others, **more):
            sent.append(len(tensors))
            broadcast(tensors, *others, **more)
        model._distributed_broadcast_coalesced = count
        num_steps = 6 - (uneven and rank == 1)
        try:
            with model.join() if join else contextlib.nullcontext():
                for step in range(num_steps):
                    optimizer.zero_grad()
                    model(torch.arange(5) + 100 * step + 7 * rank).square().mean().backward()
                    optimizer.step()
            end = "done"
        except InputError as error:
            end = str(error)
        result += [end, sent, embedding.encoding.claims.fingerprints, embedding.state_dict()]

claim("a group", in_group=True)
claim("each for itself", in_group=False)
train("even", uneven=False, join=False)
train("uneven in join", uneven=True, join=True)
train("uneven", uneven=True, join=False)  # the last, for one process waits for the other's end
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each of two processes saved of each training: they take long to start."""
    folder = tmp_path_factory.mktemp("processes")
    processes = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, str(rank), str(folder)])
        for rank in range(2)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    return lambda name: [torch.load(folder / f"{name}.{rank}.pt") for rank in range(2)]


def test_processes_of_a_group_claim_the_same_rows(results):
    (first,), (second,) = results("a group")
    assert torch.equal(first, second)
    assert torch.count_nonzero(first.view(torch.int16)) == 60


def test_outside_data_parallel_training_a_process_claims_for_itself(results):
    (first,), (second,) = results("each for itself")
    assert torch.count_nonzero(first.view(torch.int16)) > 50
    assert torch.count_nonzero(second.view(torch.int16)) == 20


def test_data_parallel_processes_stay_equal_and_do_not_send_their_claims(results):
    first, second = results("even")
    assert first[0] == second[0] == "done"
    assert torch.count_nonzero(first[2].view(torch.int16)) > 30
    for name, value in first[3].items():
        assert torch.equal(value, second[3][name])
    assert first[1] == [1]  # with the first forward pass alone


def test_processes_with_unequal_numbers_of_batches_end_with_a_reason(results):
    (end, *_), (of_the_other, *_) = results("uneven")
    assert of_the_other == "done"
    assert "another process of the training did not answer" in end


def test_in_join_both_of_them_end_with_a_reason(results):
    for end, *_ in results("uneven in join"):
        assert "leave join() and give all processes as many batches" in end


def test_one_process_alone_has_no_group():
    assert data_parallel_group(SketchEncoding(4, 3, capacity=16, seed=0)) is None
