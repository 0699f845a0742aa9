"""Checks, in the tests, that tensors have the shapes and dtypes that annotations promise."""

from jaxtyping import install_import_hook

# Not the modules that refuse bad input by a message of their own, for beartype would come before
# it; nor those that take sequences, of which beartype checks an item drawn by `random`, whose state
# other tests watch.
install_import_hook(
    [
        "tablefree.models.gmf",
        "tablefree.models.mlp",
        "tablefree.models.recommender",
        "tablefree.frozen_network",
        "tablefree.training.batches",
        "tablefree.training.metrics",
    ],
    "beartype.beartype",
)
