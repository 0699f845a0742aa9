"""Rows for fewer ids: who keeps one, what the others have, and what is saved."""

import pytest
import torch

from tablefree import GMF, ClaimedRows, EmbeddingCollection, FullTable, packed_bytes, unpack
from tablefree.packing.examples import Examples
from tablefree.packing.forms import Form
from tablefree.packing.mixture import Choice, Mixture
from tablefree.packing.packer import Packer
from tablefree.packing.pruning import by_worth, capacity_for, owners_in, pruned, tail_costs
from tablefree.packing.tables import packed_size

NUM_IDS, DIM = 2_000, 8
IDS = torch.arange(NUM_IDS) * 7919
EXACT = Form("float16")


@pytest.fixture(scope="module")
def model():
    """Users who own rows, of which the first are met most, and items."""
    torch.manual_seed(0)
    users = ClaimedRows(capacity_for(NUM_IDS), DIM, num_rows=1, num_hashes=1, seed="user")
    model = GMF(users, FullTable(50, DIM)).train()
    model.users(IDS)
    with torch.no_grad():
        model.users.rows.weight.normal_()
        model.items.rows.weight.normal_()
    model.users.encoding.claims.unlearnt.__init__()  # as after a training
    return model.eval()


@pytest.fixture(scope="module")
def parts(model):
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(2):
        places = (torch.rand(30_000, generator=generator) ** 3 * NUM_IDS).long()
        items = torch.randint(50, (30_000,), generator=generator)
        with torch.no_grad():
            chances = torch.sigmoid(model(IDS[places], items))
        found.append((IDS[places], items, torch.bernoulli(chances, generator=generator)))
    return found


@pytest.fixture(scope="module")
def owners(model, parts):
    (found,) = owners_in(model, Examples("examples", parts[0]), {}).values()
    return found


def test_owners_are_those_that_examples_have(model, parts, owners):
    ids, counts = torch.unique(parts[0][0], return_counts=True)
    has_row = model.users.encoding.claims(ids) >= 0
    assert has_row.sum() > 0.98 * len(ids)
    assert torch.equal(owners.ids, ids[has_row])
    assert torch.equal(owners.counts, counts[has_row].float())
    assert torch.equal(owners.rows, model.users(owners.ids))


def test_ids_that_training_met_are_told(model, parts, owners):
    some = [part[:500] for part in parts[0]]
    (found,) = owners_in(
        model, Examples("examples", some), {model.users.encoding: parts[0][0]}
    ).values()
    for one, other in zip(found, owners, strict=True):
        assert torch.equal(one, other)


def test_a_row_that_has_not_learnt_is_nobodys(parts):
    users = ClaimedRows(capacity_for(NUM_IDS), DIM, num_rows=1, num_hashes=1, seed="user")
    model = GMF(users, FullTable(50, DIM)).train()
    model.users(IDS)
    (found,) = owners_in(model.eval(), Examples("examples", parts[0]), {}).values()
    assert len(found.ids) == 0


def test_the_first_keep_their_rows_and_the_others_have_their_mean(model, owners):
    ordered = by_worth(owners, torch.eye(DIM))
    small, known = pruned(model.users.encoding, ordered, 500, torch.eye(DIM))
    assert small.capacity == capacity_for(500)
    small.eval()
    codes = small(ordered.ids)
    keeps = (codes == ordered.rows).all(1)
    assert keeps[:450].sum() >= 449  # but for one that is taken for another
    assert 495 <= int(keeps.sum()) <= small.capacity
    others = ordered.at(small.claims(ordered.ids) < 0)
    mean = (others.counts[:, None] * others.rows).sum(0) / others.counts.sum()
    torch.testing.assert_close(small(others.ids), mean.expand(len(others.ids), DIM))
    assert known.counts.sum() == owners.counts.sum()


def test_what_a_tail_costs_is_its_error(owners):
    metric = torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(0))
    metric = metric @ metric.T
    ordered = by_worth(owners, metric)
    costs = tail_costs(ordered, metric, [100, 1_000, len(ordered.ids)])
    tail = ordered.at(torch.arange(100, len(ordered.ids)))
    mean = (tail.counts[:, None] * tail.rows).sum(0) / tail.counts.sum()
    errors = tail.rows - mean
    wanted = float((tail.counts * ((errors @ metric) * errors).sum(1)).sum())
    assert costs[0] == pytest.approx(wanted, rel=1e-3)
    assert costs[0] > costs[1] > costs[2] == 0


def test_bytes_are_spared_by_ids_that_are_seldom_met(model, parts):
    packer = Packer(model, *parts)
    most = packed_bytes(model) / 16
    best = packer.within(most)[0]
    assert isinstance(best.form, Mixture)
    assert packed_bytes(best.module) <= packer.size(best.form) <= most
    assert best.form.choices[0].kept < NUM_IDS
    plain = [one.quality for one in packer._trials.values() if isinstance(one.form, Form)]
    assert best.quality > max(plain, default=0)


def test_what_has_fewer_rows_is_saved_and_unpacked(model, parts, tmp_path):
    packer = Packer(model, *parts)
    mixture = Mixture((Choice(EXACT, 400), Choice(EXACT)))
    packed = packer.trial(mixture).module
    assert 0 <= packed_size(model, mixture) - packed_bytes(packed) < 20
    packed.save_pretrained(tmp_path)
    users, items, _ = parts[1]
    loaded = GMF.from_pretrained(tmp_path)
    assert torch.equal(loaded(users, items), packed(users, items))
    plain = unpack(loaded)
    assert plain.users.encoding.capacity == capacity_for(400)
    assert torch.equal(plain(users, items), packed(users, items))


def test_a_collection_tells_the_sizes_that_it_has_now(model, parts, tmp_path):
    users, items, labels = parts[0]
    collection = EmbeddingCollection.from_embeddings({"user": model.users, "item": model.items})

    class Scorer(torch.nn.Module):
        def __init__(self, embeddings):
            super().__init__()
            self.embeddings = embeddings

        def forward(self, users, items):
            found = self.embeddings({"user": users, "item": items})
            return (found["user"] * found["item"]).sum(-1)

    packer = Packer(Scorer(collection), (users, items, labels), parts[1])
    packed = packer.trial(Mixture((Choice(EXACT, 400), Choice(EXACT)))).module.embeddings
    assert packed.config()["user"]["capacity"] == capacity_for(400)
    assert collection.config()["user"]["capacity"] == capacity_for(NUM_IDS)
    packed.save_pretrained(tmp_path)
    loaded = EmbeddingCollection.from_pretrained(tmp_path)
    assert torch.equal(loaded.embed("user", IDS), packed.embed("user", IDS))
