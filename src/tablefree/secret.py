"""Seeds that nobody can guess, for ids that strangers choose.

Who knows a seed, and the name of a feature is easily known, finds within seconds ids that share a
row with a victim's, or fills the rows that a new id could have. Under a secret seed both would have
to be found by chance. What is saved names the secret and holds four bytes of a digest, by which
another one is refused; the key itself must be given when a module is loaded.
"""

from contextvars import ContextVar
from hashlib import blake2b
from typing import Self

from tablefree.errors import InputError
from tablefree.hashing import SECRET, seed_from

FEWEST_BYTES = 16


class Secret:
    """A key from which the seeds of features are made.

    Within `with secret:`, modules that were saved with its seeds can be loaded.

    Args:
        key: at least 16 bytes that nobody can guess, as of `secrets.token_hex()`; a string is
            taken as UTF-8.

    Raises:
        InputError: a shorter key, or none.

    Example:
        >>> secret = Secret("take this from the environment, not from the code")
        >>> secret.seed("item_id")
        'secret:item_id:9a55cbc8'
    """

    def __init__(self, key: str | bytes) -> None:
        given = key.encode() if isinstance(key, str) else key
        if not isinstance(given, bytes) or len(given) < FEWEST_BYTES:
            raise InputError(
                f"a secret needs at least {FEWEST_BYTES} bytes that nobody can guess: make a key "
                "with secrets.token_hex(), and keep it where your passwords are"
            )
        self._key = blake2b(given).digest()

    def seed(self, name: str) -> "SecretSeed":
        """The seed of a feature, to be given as `seed=` in the place of its name."""
        check = self._digest(name, 4, b"check").hex()
        return SecretSeed(f"{SECRET}{name}:{check}", int.from_bytes(self._digest(name, 8, b"seed")))

    def __enter__(self) -> Self:
        _active.set((*_active.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        _active.set(_active.get()[:-1])

    def _digest(self, name: str, size: int, use: bytes) -> bytes:
        return blake2b(name.encode(), digest_size=size, key=self._key, person=use).digest()


class SecretSeed(str):
    """What is public of a secret seed, with the seed itself, `value`, 0 to 2^64 - 1."""

    value: int

    def __new__(cls, public: str, value: int) -> Self:
        """As a string that configurations hold."""
        seed = super().__new__(cls, public)
        seed.value = value
        return seed

    def __reduce__(self) -> tuple[type[Self], tuple[str, int]]:
        return type(self), (str(self), self.value)


def kept_seed(seed: int | str) -> int | SecretSeed:
    """A seed as modules keep it: the integer, or what a secret one shows of itself.

    Raises:
        InputError: no seed, or a saved one whose secret is not there.
    """
    if isinstance(seed, SecretSeed) or not isinstance(seed, str) or not seed.startswith(SECRET):
        return seed if isinstance(seed, SecretSeed) else seed_from(seed)
    for secret in reversed(_active.get()):
        found = secret.seed(seed[len(SECRET) :].rpartition(":")[0])
        if found == seed:
            return found
    raise InputError(
        f"the seed {seed} is secret: load within `with tablefree.Secret(key):`, with the key of "
        "the training"
    )


def seed_value(seed: int | SecretSeed) -> int:
    """The 64 bits of a seed that a module keeps."""
    return seed.value if isinstance(seed, SecretSeed) else seed


def next_seed(seed: int | str) -> int | SecretSeed:
    """Another seed, of hash functions that have nothing in common with those of this one."""
    kept = kept_seed(seed)
    value = (seed_value(kept) + 1) % 2**64
    return SecretSeed(f"{kept}:rows", value) if isinstance(kept, SecretSeed) else value


_active: ContextVar[tuple[Secret, ...]] = ContextVar("secrets", default=())
