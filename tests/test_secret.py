"""What who knows a seed can do, and cannot under a secret one."""

import copy
import pickle

import pytest
import torch

from tablefree import (
    CheckpointError,
    DeepHashEmbedding,
    HashEmbedding,
    HashingTrick,
    InputError,
    Secret,
    SketchEmbedding,
    hash_strings,
)
from tablefree.encodings.row_claims import FREE, REFUSED, RowClaims, _places

KEY = "not to be found in any file"
CAPACITY = 320
ALICE, CAROL = hash_strings(["alice"]), hash_strings(["carol"])


def strangers(number, seed=0):
    return torch.randint(
        -(2**63), 2**63 - 1, (number,), generator=torch.Generator().manual_seed(seed)
    )


def crafted_for_a_row(seed):
    """Ids that would share the row of alice, and of whoever comes first, under a seed."""
    claims = RowClaims(CAPACITY, seed=seed)
    row = claims.claim(ALICE)
    ids = strangers(4_000_000)
    return ids[claims(ids) == row]


def crafted_to_keep_out(seed):
    """Ids with the two buckets of carol, as many as fill them."""
    claims = RowClaims(CAPACITY, seed=seed)
    buckets, _ = _places(CAROL, claims.hashes, len(claims.fingerprints))
    ids = strangers(60_000)
    found, _ = _places(ids, claims.hashes, len(claims.fingerprints))
    return ids[(found == buckets).all(1) | (found == buckets.flip(1)).all(1)][:64]


@pytest.mark.parametrize("seed", ["user_id", Secret(KEY).seed("user_id")])
@pytest.mark.filterwarnings("ignore::tablefree.CapacityWarning")
def test_who_knows_the_seed_takes_a_row_or_keeps_an_id_out(seed):
    is_secret = seed != "user_id"
    claims = RowClaims(CAPACITY, seed=seed)
    row = claims.claim(ALICE)
    ids = crafted_for_a_row("user_id")
    assert len(ids) > 0
    assert bool((claims(ids) == row).any()) != is_secret
    ids = crafted_to_keep_out("user_id")
    assert len(ids) == 64
    claims.claim(ids)
    assert (claims(CAROL) == (FREE if is_secret else REFUSED)).all()


def make(kind, seed):
    if kind == "sketch":
        return SketchEmbedding(4, num_rows=9, code_width=2, capacity=16, seed=seed)
    if kind == "deep":
        return DeepHashEmbedding(4, num_hashes=8, hidden=(4,), seed=seed)
    return HashingTrick(9, 4, seed=seed)


@pytest.mark.parametrize("kind", ["sketch", "deep", "trick"])
def test_a_secret_is_in_no_file_and_must_be_given_again(tmp_path, kind):
    secret = Secret(KEY)
    seed = secret.seed("item_id")
    embedding = make(kind, seed).eval()
    embedding.save_pretrained(tmp_path)
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"secret:item_id:" in files
    for hidden in (KEY.encode(), str(seed.value).encode(), str(seed.value + 1).encode()):
        assert hidden not in files
    for wrong in (None, Secret("another key that is as long")):
        with pytest.raises(CheckpointError, match="with the key of the training"):
            load(embedding, tmp_path, wrong)
    loaded = load(embedding, tmp_path, Secret(KEY))
    ids = torch.arange(20)
    assert torch.equal(loaded(ids), embedding(ids))
    for other in (copy.deepcopy(embedding), pickle.loads(pickle.dumps(embedding))):
        assert torch.equal(other(ids), embedding(ids))
    assert KEY not in str(embedding)
    assert str(seed.value) not in str(embedding)


def load(embedding, folder, secret):
    if secret is None:
        return type(embedding).from_pretrained(folder)
    with secret:
        return type(embedding).from_pretrained(folder)


def test_features_of_one_secret_have_seeds_of_their_own():
    secret = Secret(KEY)
    values = {secret.seed(name).value for name in ("item_id", "user_id")}
    values |= {Secret(KEY + "!").seed("item_id").value}
    assert len(values) == 3
    assert secret.seed("item_id").value == Secret(KEY.encode()).seed("item_id").value
    assert KEY not in repr(secret)


@pytest.mark.parametrize("key", ["", "short", 12345678901234567890])
def test_keys_that_can_be_guessed_are_refused(key):
    with pytest.raises(InputError, match=r"secrets.token_hex"):
        Secret(key)


def test_what_takes_no_secret_says_so():
    with pytest.raises(InputError, match="cannot be used here"):
        HashEmbedding(9, 4, num_importance_rows=20, seed=Secret(KEY).seed("item_id"))
