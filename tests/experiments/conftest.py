"""Invented results, and data that train in a fraction of a second."""

import pytest
from invented_results import packed, run, runs, table

from tablefree.data import synthetic_interactions
from tablefree.experiments.task import Task

__all__ = ["packed", "run", "runs", "table", "task"]


@pytest.fixture(scope="session")
def task() -> Task:
    """A task that trains in a fraction of a second."""
    return Task.from_interactions(synthetic_interactions(3_000, num_users=120, num_items=100))
