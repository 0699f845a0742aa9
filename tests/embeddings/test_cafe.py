import copy

import pytest
import torch

import tablefree
from tablefree import GMF, CafeEmbedding, CheckpointError, Embedding, FullTable
from tablefree.embeddings import HybridHash, from_config
from tablefree.embeddings.quantize import deployed_bytes, quantize_rows
from tablefree.encodings.hot_sketch import NONE, SLOTS
from tablefree.packing.packer import pack, packed_bytes
from tablefree.scales import INITIAL_STD

HOT, COLD = torch.tensor([7, -7, 2**60, -(2**63)]), torch.arange(100, 140)
DIM = 4


def cafe(num_hot_rows=4, num_rows=5):
    torch.manual_seed(0)
    return CafeEmbedding(num_hot_rows, DIM, num_rows=num_rows, seed="item_id")


def learn(embedding, batches, optimizer=None):
    """Learn opposite targets by turns, so that nothing is ever learnt."""
    optimizer = optimizer or tablefree.optimizers(embedding, weight_decay=0.0)
    embedding.train()
    for step, ids in enumerate(batches):
        optimizer.zero_grad()
        (embedding(ids) - (-1) ** step * ones(ids)).square().sum().backward()
        optimizer.step()
    return embedding.eval()


def ones(ids):
    return torch.ones(*ids.shape, DIM)


def stream(hot=HOT, steps=60):
    """Batches with the hot ids three times, and others now and then."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        yield torch.cat([hot, hot, hot, COLD[torch.randint(len(COLD), (8,), generator=generator)]])


def hot_ids(embedding):
    return set(embedding.hot.owners[0].tolist())


def test_ids_that_matter_get_rows_of_their_own():
    embedding = learn(cafe(), stream())
    assert hot_ids(embedding) == set(HOT.tolist())
    assert embedding.hot(HOT).sort().values.tolist() == [0, 1, 2, 3]
    assert len(embedding(COLD).unique(dim=0)) <= 5


def test_what_matters_is_the_gradient_and_not_how_often():
    embedding, rare = cafe(num_hot_rows=1), torch.tensor([7])
    often = torch.tensor([8, 8, 8, 8])
    for _ in range(4):
        embedding(torch.cat([rare, often])).backward(torch.cat([100 * ones(rare), ones(often)]))
    assert hot_ids(embedding) == {7}


def test_an_id_starts_from_the_row_that_it_shared_and_goes_back_to_it():
    embedding = cafe(num_hot_rows=1)
    shared = embedding(torch.tensor([7, 8])).detach()
    still = torch.optim.SGD(embedding.parameters(), lr=0.0)
    for id_, other, steps in ((7, 8, 20), (8, 7, 40)):
        batches = [torch.tensor([id_])] * steps
        learn(embedding, batches, still)
        assert hot_ids(embedding) == {id_}
        assert torch.equal(embedding(torch.tensor([7, 8])), shared)
        with torch.no_grad():
            embedding.hot_rows.weight += 1
        assert (embedding(torch.tensor([id_])) != embedding(torch.tensor([other]))).all()
        with torch.no_grad():
            embedding.hot_rows.weight -= 1


def test_hot_ids_change_with_what_is_met():
    embedding, later = cafe(), torch.tensor([1, 2, 3, 4])
    learn(learn(embedding, stream()), stream(later, 200))
    assert hot_ids(embedding) == set(later.tolist())


@pytest.mark.parametrize("mode", ["eval", "no_grad", "frozen"])
def test_only_learning_changes_what_is_hot(mode):
    embedding = learn(cafe(), stream())
    before = copy.deepcopy(embedding.state_dict())
    embedding.train(mode != "eval")
    if mode == "frozen":
        embedding.requires_grad_(False)
    with torch.set_grad_enabled(mode != "no_grad"):
        for _ in range(20):
            output = embedding(torch.arange(50))
            if output.requires_grad:
                output.sum().backward()
    for name, value in embedding.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_training_that_is_resumed_goes_on_as_if_nothing_had_happened():
    embedding, batches = cafe(), list(stream())
    whole = learn(copy.deepcopy(embedding), batches)
    first = copy.deepcopy(embedding)
    optimizer = tablefree.optimizers(first, weight_decay=0.0)
    learn(first, batches[:30], optimizer)
    second = from_config(first.config())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    later = tablefree.optimizers(second, weight_decay=0.0)
    later.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    learn(second, batches[30:], later)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_it_is_saved_with_what_it_needs_to_go_on(tmp_path):
    embedding = learn(cafe(), stream())
    embedding.save_pretrained(tmp_path)
    loaded = Embedding.from_pretrained(tmp_path)
    assert isinstance(loaded, CafeEmbedding)
    ids = torch.cat([HOT, COLD])
    assert torch.equal(loaded(ids), embedding(ids))
    learn(loaded, stream(torch.tensor([1, 2, 3, 4]), 200))
    assert hot_ids(loaded) == {1, 2, 3, 4}


@pytest.mark.parametrize("num_hot_rows", [2, 4, 9])
def test_a_hybrid_hash_embeds_alike_in_fewer_bytes(num_hot_rows, tmp_path):
    embedding = learn(cafe(num_hot_rows), stream())
    hybrid, ids = embedding.to_hybrid_hash(), torch.cat([HOT, COLD]).view(4, -1)
    assert torch.equal(hybrid(ids), embedding(ids))
    assert hybrid.describe().num_bytes == (num_hot_rows * (DIM * 4 + 8)) + 5 * DIM * 4
    assert deployed_bytes(embedding, "float32", 0) == hybrid.describe().num_bytes
    assert deployed_bytes(embedding, "int8", 0) == deployed_bytes(hybrid, "int8", 0)
    assert torch.equal(quantize_rows(hybrid, "int8")(ids), quantize_rows(embedding, "int8")(ids))
    hybrid.save_pretrained(tmp_path)
    assert torch.equal(HybridHash.from_pretrained(tmp_path)(ids), embedding(ids))
    assert not any(parameter.requires_grad for parameter in hybrid.parameters())


def test_a_hybrid_hash_of_nothing_hot_embeds_alike_too():
    embedding, ids = cafe(), torch.cat([torch.arange(5), COLD])
    assert torch.equal(embedding.to_hybrid_hash()(ids), embedding(ids))


def test_packed_it_has_no_sketch():
    embedding = learn(cafe(), stream())
    model = GMF(embedding, FullTable(9, DIM)).eval()
    packed, ids = pack(model, form="float16"), torch.cat([HOT, COLD])
    torch.testing.assert_close(packed.users(ids), embedding(ids), atol=1e-3, rtol=1e-3)
    contract = embedding.buckets.get_extra_state().nbytes
    assert packed_bytes(packed.users) == 2 * DIM * (4 + 5) + 8 * 4 + contract
    assert isinstance(model.users, CafeEmbedding)


def test_it_is_described_with_its_sketch():
    description = cafe(6, 9).describe()
    assert (description.num_parameters, description.multiply_adds) == ((6 + 9) * DIM, 0)
    assert description.num_bytes == 4 * description.num_parameters + 6 * SLOTS * 16 + 8


def test_hot_and_other_ids_are_scaled_alike():
    embedding = learn(cafe(), stream())
    ids = torch.cat([HOT, COLD])
    before, std = embedding(ids), embedding.std
    embedding.rescale(3.0)
    torch.testing.assert_close(embedding(ids), 3 * before)
    assert (embedding.std, std) == (3 * std, INITIAL_STD)


def test_empty_and_repeated_ids_learn():
    embedding = cafe()
    learn(embedding, [torch.empty(0, dtype=torch.int64)] * 3)
    assert not hot_ids(embedding)
    learn(embedding, [torch.full((3, 5), 7)] * 4)
    assert hot_ids(embedding) == {7}
    assert (embedding.hot(torch.arange(8)) != NONE).sum() == 1


def test_a_state_of_another_feature_is_refused():
    other = CafeEmbedding(4, DIM, num_rows=5, seed="user_id")
    with pytest.raises(CheckpointError, match="seed"):
        other.load_state_dict(cafe().state_dict())
