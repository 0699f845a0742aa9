import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tablefree.data import NegativeSampler
from tablefree.data.histories import Histories
from tablefree.embeddings import FullTable, HashingTrick, NarrowTable, SketchEmbedding
from tablefree.embeddings.history import HistoryUsers
from tablefree.errors import InputError
from tablefree.models import GMF
from tablefree.training.batches import Batch, Negatives, TrainingBatches
from tablefree.training.fit import Recipe, fit
from tablefree.training.metrics import auc

NUM_ITEMS, DIM = 30, 8
OFFSETS, ITEMS = torch.tensor([0, 3, 3, 5]), torch.tensor([4, 9, 2, 9, 7])


def make(items=None, *, user_keys=None, **options):
    users = HistoryUsers(items or NarrowTable(NUM_ITEMS, DIM, rank=3), DIM, **options)
    users.set_histories(OFFSETS, ITEMS, user_keys)
    return users


HIDDEN = pytest.mark.parametrize("hidden", [None, (), (16,), (16, 8)])


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0), (3, 4)])
@HIDDEN
def test_shape_and_dtype(shape, hidden):
    users = make(hidden=hidden)
    ids = torch.randint(3, shape, dtype=torch.int32)
    for left_out in (None, torch.full(shape, -1)):
        embeddings = users(ids, left_out)
        assert embeddings.shape == (*shape, DIM)
        assert embeddings.dtype == torch.float32


@HIDDEN
def test_a_known_user_is_embedded_as_its_history(hidden):
    users = make(hidden=hidden)
    bags = users.embed_bags(ITEMS, OFFSETS)
    ids = torch.tensor([[2, 0], [1, 2]])
    torch.testing.assert_close(users(ids), bags[ids])
    assert users.num_users == 3


@HIDDEN
def test_leaving_an_item_out_is_as_if_the_user_had_never_had_it(hidden):
    users = make(hidden=hidden)
    pairs, left_out = torch.tensor([[0, 2], [0, 1]]), torch.tensor([[1, 3], [0, -1]])
    embeddings = users(pairs, left_out)
    rest = users.embed_bags(torch.tensor([4, 2, 7, 9, 2]), torch.tensor([0, 2, 3, 5, 5]))
    torch.testing.assert_close(embeddings.view(-1, DIM), rest)


def test_without_a_decoder_there_are_no_parameters():
    items = FullTable(NUM_ITEMS, DIM)
    users = make(items)
    assert users.num_parameters == 0
    assert users.describe().num_bytes == 8 * (len(OFFSETS) + len(ITEMS))
    model = GMF(users, items)
    assert sum(p.numel() for p in model.parameters()) == items.num_parameters + DIM + 1
    assert {name.partition(".")[0] for name in model.state_dict()} == {"items", "weight", "bias"}
    assert users.multiply_adds == round(DIM * 5 / 3)
    with_decoder = make(NarrowTable(NUM_ITEMS, DIM, rank=2), hidden=(16,))
    decoder = DIM * 16 + 16 * DIM + DIM * DIM
    assert with_decoder.num_parameters == decoder + 16 + DIM
    assert with_decoder.multiply_adds == round((DIM + 2 * DIM) * 5 / 3) + decoder


@pytest.mark.parametrize(
    "calm",
    [
        lambda users: users.eval(),
        lambda users: torch.nn.ModuleList([users]).eval()[0],
        lambda users: users.requires_grad_(False),
    ],
)
def test_histories_that_do_not_learn_claim_no_rows_for_their_items(calm):
    items = SketchEmbedding(DIM, num_rows=9, code_width=2, capacity=160, seed="item_id")
    users = make(items)
    before = users.state_dict().keys(), items.state_dict().keys()
    calm(users)(torch.arange(3))
    assert not items.encoding.claims.fingerprints.any()
    assert (users.state_dict().keys(), items.state_dict().keys()) == before


def test_an_empty_history_is_zero():
    assert torch.equal(make()(torch.tensor(1)), torch.zeros(DIM))


def test_an_embedding_of_the_id_is_added():
    keys = torch.tensor([10**17, -5, 3])
    own = HashingTrick(50, DIM, seed="user_id")
    items = NarrowTable(NUM_ITEMS, DIM, rank=3)
    users = make(items, own=own, user_keys=keys)
    ids = torch.tensor([2, 1, 0])
    expected = users.embed_bags(ITEMS, OFFSETS)[ids] + own(keys[ids])
    torch.testing.assert_close(users(ids), expected)
    assert users.num_parameters == own.num_parameters
    assert users.multiply_adds == make(items).multiply_adds + DIM
    with pytest.raises(InputError, match=r"user_keys must be 3, .*; got none"):
        users.set_histories(OFFSETS, ITEMS)
    with pytest.raises(InputError, match=r"user_keys must be none, .*; got 3"):
        make(user_keys=keys)


def test_a_narrow_code_of_the_items_can_be_decoded():
    code = FullTable(NUM_ITEMS, 2)
    assert make(code, hidden=(16,))(torch.tensor([0])).shape == (1, DIM)
    with pytest.raises(InputError, match="the width of items must be embedding_dim, 8, got 2"):
        make(code)
    with pytest.raises(InputError, match="the width of own must be embedding_dim, 8, got 2"):
        make(own=code, user_keys=torch.arange(3))


@pytest.mark.parametrize("hidden", [None, (), (16,)])
def test_decoded_histories_start_at_the_common_scale(hidden):
    torch.manual_seed(0)
    samples = [make(FullTable(NUM_ITEMS, DIM), hidden=hidden)(torch.tensor(0)) for _ in range(100)]
    assert torch.stack(samples).square().mean().sqrt().item() == pytest.approx(0.1, rel=0.2)


def test_histories_are_data_and_not_in_the_checkpoint():
    users = make(hidden=(16,))
    file = io.BytesIO()
    torch.save(users.state_dict(), file)
    file.seek(0)
    with torch.device("meta"):  # as checkpoints are loaded
        loaded = HistoryUsers(NarrowTable(NUM_ITEMS, DIM, rank=3), DIM, hidden=(16,))
    loaded.load_state_dict(torch.load(file), assign=True)
    loaded.encoding.items.load_state_dict(users.encoding.items.state_dict(), assign=True)
    bags = torch.tensor([5, 1]), torch.tensor([0, 2])
    assert torch.equal(loaded.embed_bags(*bags), users.embed_bags(*bags))
    with pytest.raises(InputError, match="bags must be"):
        loaded(torch.tensor([0]))
    loaded.set_histories(OFFSETS, ITEMS)
    assert torch.equal(loaded(torch.arange(3)), users(torch.arange(3)))


def test_config_tells_all_but_the_items():
    own = FullTable(3, DIM)
    users = make(hidden=(16,), alpha=1.0, own=own, user_keys=torch.arange(3))
    assert users.config() == {
        "method": "history",
        "embedding_dim": DIM,
        "hidden": [16],
        "alpha": 1.0,
        "own": own.config(),
    }
    assert make().config()["hidden"] is make().config()["own"] is None


@pytest.mark.parametrize("bad", [-1, 3])
def test_unknown_users_are_refused(bad):
    with pytest.raises(InputError, match=f"0..2.* got {bad}"):
        make()(torch.tensor([[0, bad]]))


def test_taste_is_learnt_and_a_new_user_needs_no_training():
    """Users like the items of their own group: half of them for training, the rest held out."""
    num_users, num_groups = 40, 4
    torch.manual_seed(0)
    user, item = np.divmod(np.arange(num_users * NUM_ITEMS), NUM_ITEMS)
    liked = user % num_groups == item % num_groups
    known = liked & (np.random.default_rng(0).random(len(user)) < 0.5)
    histories = Histories(user[known], item[known], num_users, NUM_ITEMS)
    items = FullTable(NUM_ITEMS, DIM)
    model = GMF(HistoryUsers(items, DIM), items)
    model.users.set_histories(
        torch.from_numpy(histories.offsets), torch.from_numpy(histories.items)
    )
    batches = TrainingBatches(
        user[known],
        item[known],
        None,
        user_keys=torch.arange(num_users),
        item_keys=torch.arange(NUM_ITEMS),
        negatives=Negatives(
            NegativeSampler(user[liked], item[liked], num_users, NUM_ITEMS), np.arange(NUM_ITEMS)
        ),
        batch_size=32,
        seed=0,
        histories=histories,
    )
    validation = Batch(*(torch.from_numpy(part[~known]) for part in (user, item, liked * 1.0)))
    assert fit(model, batches, validation, Recipe(0.1, max_epochs=4)).validation_auc > 0.95
    with torch.no_grad():
        new = model.users.embed_bags(torch.tensor([2, 6]), torch.tensor([0, 2]))
        scores = model.score(new.expand(NUM_ITEMS, -1), items(torch.arange(NUM_ITEMS)))
    assert scores.topk(6).indices.remainder(num_groups).tolist() == [2] * 6


# No leak: users who draw their items at random, so that nothing can be learnt about other users.
NUM_USERS, NUM_RANDOM_ITEMS, EVENTS_OF_A_USER = 2000, 60, 6


def train_on_noise(*, leaves_out):
    """AUC on training pairs of the users trained on, and of as many others, after training."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    orders = rng.permuted(np.tile(np.arange(NUM_RANDOM_ITEMS), (NUM_USERS, 1)), axis=1)
    user = np.repeat(np.arange(NUM_USERS), EVENTS_OF_A_USER)
    item = orders[:, :EVENTS_OF_A_USER].ravel()
    histories = Histories(user, item, NUM_USERS, NUM_RANDOM_ITEMS)
    sampler = NegativeSampler(user, item, NUM_USERS, NUM_RANDOM_ITEMS)
    items = NarrowTable(NUM_RANDOM_ITEMS, DIM, rank=4)
    users = HistoryUsers(items, DIM)
    users.set_histories(torch.from_numpy(histories.offsets), torch.from_numpy(histories.items))
    model = GMF(users, items)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    trained_on, others = (
        TrainingBatches(
            user[half],
            item[half],
            None,
            user_keys=torch.arange(NUM_USERS),
            item_keys=torch.arange(NUM_RANDOM_ITEMS),
            negatives=Negatives(sampler, np.arange(NUM_RANDOM_ITEMS)),
            batch_size=256,
            seed=0,
            histories=histories,
        )
        for half in np.split(np.arange(len(user)), 2)
    )

    def score(batch):
        left_out = batch.left_out if leaves_out else None
        return model.score(users(batch.users, left_out), items(batch.items))

    for _ in range(8):
        for batch in trained_on:
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(score(batch), batch.labels).backward()
            optimizer.step()

    def auc_of(batches):
        scored = [(score(batch).detach(), batch.labels) for batch in batches]
        return auc(*(torch.cat(parts) for parts in zip(*scored, strict=True)))

    return auc_of(trained_on), auc_of(others)


def test_nothing_is_learnt_from_noise():
    trained_on, others = train_on_noise(leaves_out=True)
    assert others == pytest.approx(0.5, abs=0.025)
    assert trained_on < 0.62  # what the rows of so few items learn by heart of so many users


def test_with_the_target_in_the_history_noise_seems_to_have_a_signal():
    assert min(train_on_noise(leaves_out=False)) > 0.7


@pytest.mark.parametrize("hidden", [(), (16,)])
def test_decoded_users_can_be_scaled(hidden):
    own = NarrowTable(3, DIM, rank=2)
    users = make(hidden=hidden, own=own, user_keys=torch.arange(3))
    before = users(torch.arange(3))
    users.rescale(2.0)
    torch.testing.assert_close(users(torch.arange(3)), 2 * before)


def test_users_without_a_decoder_cannot_be_scaled_apart_from_their_items():
    with pytest.raises(InputError, match="rescale the items"):
        make().rescale(2.0)


def test_what_is_left_out_has_the_shape_of_the_users():
    users = HistoryUsers(FullTable(4, 2), 2)
    users.set_histories(torch.tensor([0, 2]), torch.tensor([1, 2]))
    for left_out in (torch.tensor([0, 1]), torch.tensor([0.5])):
        with pytest.raises(InputError):
            users(torch.tensor([0]), left_out)
