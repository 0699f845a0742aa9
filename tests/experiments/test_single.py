from dataclasses import replace

import polars as pl
import pyarrow as pa
import pytest
import torch

from tablefree.errors import InputError
from tablefree.experiments.embed import write_embeddings
from tablefree.experiments.recipes import default_recipe
from tablefree.experiments.single import evaluate_checkpoint, train_checkpoint
from tablefree.experiments.spec import Run
from tablefree.rows import Rows
from tablefree.training.checkpoint import load_checkpoint

RECIPE = default_recipe("full_table", 10, max_epochs=1, precision="float32")


@pytest.mark.parametrize("users", ["id", "history", "both"])
@pytest.mark.parametrize("decoder", [(), (4,)])
def test_a_checkpoint_has_the_measures_of_its_training(task, tmp_path, users, decoder):
    run = Run("full_table", "gmf", 1.0, 0, 8, RECIPE, decoder=decoder, users=users)
    checkpoint = train_checkpoint(run, task, tmp_path / "new")
    measures = {k: v for k, v in checkpoint.measures.items() if k != "validation_auc"}
    assert evaluate_checkpoint(checkpoint, task) == measures
    loaded = load_checkpoint(tmp_path / "new")
    assert evaluate_checkpoint(loaded, task) == measures


@pytest.mark.parametrize("method", ["full_table", "sketch", "deep_hash"])
def test_rows_in_bfloat16_come_back_with_the_measures_of_their_training(task, tmp_path, method):
    recipe = default_recipe(method, 10, max_epochs=1, precision="float32", rows="bfloat16")
    run = Run(method, "gmf", 1.0, 0, 8, recipe)
    checkpoint = train_checkpoint(run, task, tmp_path / "new")
    measures = {k: v for k, v in checkpoint.measures.items() if k != "validation_auc"}
    loaded = load_checkpoint(tmp_path / "new")
    assert evaluate_checkpoint(loaded, task) == measures
    dtypes = {rows.weight.dtype for rows in loaded.predictor.modules() if isinstance(rows, Rows)}
    assert dtypes == ({torch.bfloat16} if method != "deep_hash" else set())


@pytest.mark.parametrize("users", ["history", "both"])
def test_no_id_tells_a_user_that_is_a_history(task, tmp_path, users):
    run = Run("sketch", "gmf", 2.0, 0, 8, RECIPE, decoder=(4,), users=users)
    train_checkpoint(run, task, tmp_path / "new")
    loaded = load_checkpoint(tmp_path / "new")
    users, items = loaded.predictor.features
    chunks = iter([pa.array([1, 2])])
    with pytest.raises(InputError, match="are histories, which no id tells"):
        write_embeddings(chunks, loaded.predictor, users, tmp_path / "users.parquet")
    with pytest.raises(InputError, match="are histories, which no id tells"):
        loaded.predictor.predict(pl.DataFrame({users: [1], items: [2]}))
    chunks = iter([pa.array([1, 2])])
    embedded = write_embeddings(chunks, loaded.predictor, items, tmp_path / "items.parquet")
    assert embedded.num_ids == 2


def test_ids_of_another_type_are_refused(task, tmp_path):
    run = Run("hashing_trick", "gmf", 0.5, 0, 8, RECIPE)
    checkpoint = train_checkpoint(run, task, tmp_path / "new")
    other = replace(task, interactions=replace(task.interactions, user_id_type="string"))
    with pytest.raises(InputError, match="user ids of synthetic are of type string"):
        evaluate_checkpoint(checkpoint, other)
