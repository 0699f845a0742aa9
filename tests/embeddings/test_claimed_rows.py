import copy

import pytest
import torch
from torch import nn

import tablefree
from tablefree import CapacityWarning, ClaimedRows, Embedding, InputError
from tablefree.embeddings import from_config
from tablefree.scales import INITIAL_STD

IDS = torch.tensor([7, -7, 2**60, -(2**63)])


def rows(capacity=64, **options):
    torch.manual_seed(0)
    return ClaimedRows(capacity, 4, num_rows=5, seed="item_id", **options)


def learn(embedding, ids, targets, steps=30):
    optimizer = tablefree.optimizers(embedding)
    for _ in range(steps):
        optimizer.zero_grad()
        (embedding(ids) - targets).square().sum().backward()
        optimizer.step()
    return embedding.eval()


def test_rows_start_at_the_common_scale():
    embedding = rows(16_000).train()
    assert embedding(torch.arange(14_000)).std().item() == pytest.approx(INITIAL_STD, rel=0.02)
    assert embedding.std == pytest.approx(INITIAL_STD)


@pytest.mark.parametrize("sparse", [False, True])
def test_an_id_learns_what_a_row_of_a_table_learns(sparse):
    embedding, table = rows(sparse=sparse), nn.Embedding(len(IDS), 4, sparse=sparse)
    with torch.no_grad():
        embedding.train()
        claimed = embedding.encoding.claims.claim(IDS) + embedding.encoding.first_own
        table.weight.copy_(embedding.rows.weight[claimed])
    positions = [torch.tensor(batch) for batch in ([0, 1], [1, 2, 3], [0, 0, 3])]
    for module, batches in ((embedding, [IDS[at] for at in positions]), (table, positions)):
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        for batch in batches:
            optimizer.zero_grad()
            (module(batch) - 1).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(embedding.eval()(IDS), table.weight)


def test_an_id_that_training_never_met_is_neutral():
    embedding = learn(rows(), IDS, torch.ones(4, 4))
    assert embedding(torch.arange(1000, 1020)).eq(0).all()
    assert (embedding.num_claimed, embedding.capacity, embedding.load) == (4, 64, 4 / 64)


def test_ids_that_come_too_late_share_rows():
    embedding, ids = rows(16), torch.arange(40)
    with pytest.warns(CapacityWarning):
        learn(embedding, ids, torch.ones(40, 4))
    assert embedding.num_claimed == 16
    assert embedding(ids).ne(0).any(1).all()
    assert embedding(torch.tensor([10**6])).ne(0).any()  # nobody can tell that it is new
    embedding.train().grow(64)
    learn(embedding, ids, torch.ones(40, 4))
    assert embedding.num_claimed == 40


def test_it_is_saved_and_described(tmp_path):
    embedding = learn(rows(), IDS, torch.randn(4, 4))
    embedding.save_pretrained(tmp_path)
    loaded = Embedding.from_pretrained(tmp_path)
    assert isinstance(loaded, ClaimedRows)
    assert torch.equal(loaded(IDS), embedding(IDS))
    description = embedding.describe()
    assert (description.num_parameters, description.multiply_adds) == ((5 * 4 + 64) * 4, 0)
    assert description.num_bytes == 4 * description.num_parameters + 2 * 64


def test_a_configuration_builds_the_same_function():
    embedding = rows(sightings=2, num_hashes=3)
    other = from_config(embedding.config())
    other.load_state_dict(copy.deepcopy(embedding.state_dict()))
    assert other.config() == embedding.config()
    assert torch.equal(other.eval()(IDS), embedding.eval()(IDS))


def test_rescaling_reaches_rows_that_come_later():
    embedding = rows(16)
    embedding.rescale(10.0)
    embedding.grow(16_000)
    assert embedding.rows.weight[36:].std().item() == pytest.approx(10 * INITIAL_STD, rel=0.02)


def test_bad_sizes_are_named():
    with pytest.raises(InputError, match="a capacity of 17: use 32"):
        rows(17)
    with pytest.raises(InputError, match="embedding_dim must be an integer of at least 1, got 0"):
        ClaimedRows(16, 0, num_rows=1, seed=0)
