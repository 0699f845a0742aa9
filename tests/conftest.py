"""Checks that tensors have the shapes and dtypes that annotations promise; runs without a wait."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Leave `untraced` tests, fixtures included, out of coverage: it costs half as much again.

    What they call is what other tests call: laws, and graphs, which torch traces in Python.
    """
    plugin = item.config.pluginmanager.getplugin("_cov")
    coverage = plugin and plugin.cov_controller
    if coverage is None or item.get_closest_marker("untraced") is None:
        return (yield)
    coverage.pause()
    try:
        return (yield)
    finally:
        coverage.resume()


@pytest.fixture
def no_workers(monkeypatch):
    """The runs of a comparison in this process: a worker imports for seconds before it trains."""
    from tablefree.experiments import scheduler

    @contextmanager
    def workers(_jobs, task, _threads):
        monkeypatch.setattr(scheduler, "_worker_task", task, raising=False)
        with ThreadPoolExecutor(1) as pool:
            yield pool

    monkeypatch.setattr(scheduler, "_workers", workers)
