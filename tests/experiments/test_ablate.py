from dataclasses import replace

import pytest

from tablefree.data import synthetic_interactions
from tablefree.errors import InputError
from tablefree.experiments.ablate import plan, variant_run
from tablefree.experiments.recipes import default_recipe
from tablefree.experiments.results import read_results
from tablefree.experiments.scheduler import run_all
from tablefree.experiments.spec import Run
from tablefree.experiments.studies import BASES, STUDIES, Variant
from tablefree.experiments.task import Task
from tablefree.experiments.tuning import search_space

RECIPE = default_recipe("deep_hash", 10, max_epochs=1, precision="float32")
TEMPLATE = Run("deep_hash", "gmf", 2.0, 0, 16, RECIPE)


def planned(task, *studies, **changes):
    options = {"template": TEMPLATE, "seeds": 1, "trials": 1}
    return plan(task, studies=studies, **options | changes)


def places(comparison):
    return [(cell.study, cell.variant) for cell in comparison.cells]


def test_a_base_is_trained_once_and_first(task):
    assert places(planned(task, "norm", "skip", "sketch-skip")) == [
        ("base", "deep_hash"), ("norm", "layer"), ("norm", "RMS"), ("norm", "none"),
        ("skip", "linear"), ("base", "sketch"), ("sketch-skip", "none"),
    ]  # fmt: skip
    assert ("base", "sketch") in places(planned(task, "encoding"))


def test_variants_are_tuned_from_their_base_s_defaults(task):
    for cell in planned(task, "schedule", "sketch-epochs").cells:
        assert cell.recipe.optimizer == default_recipe(cell.method, 10).optimizer
        assert cell.recipe.patience == RECIPE.patience
        assert (cell.recipe.max_epochs == 1) == (cell.study != "sketch-epochs")
    variant = Variant("64", {"batch_size": 64, "activation": "relu"})
    run = variant_run(TEMPLATE, "batch", variant, 10)
    assert run.recipe == replace(RECIPE, batch_size=64)
    assert run.design == replace(BASES["deep_hash"], activation="relu")
    assert run.design.activation == "relu"


def test_what_a_study_varies_is_not_searched(task):
    decays = [cell for cell in planned(task, "decay", "sketch-decay").cells if cell.fixed]
    assert len(decays) == len(STUDIES["decay"].variants) + len(STUDIES["sketch-decay"].variants) - 2
    for cell in decays:
        base = search_space(replace(cell, fixed=()), task)
        assert base.keys() - search_space(cell, task).keys() == set(cell.fixed) != set()


@pytest.mark.parametrize("name", [name for name in STUDIES if not STUDIES[name].varies_size])
def test_variants_have_the_parameters_of_their_base(task, name):
    comparison = planned(task, name)
    sizes = {
        place: sum(side.num_parameters for side in (model.users, model.items))
        for place, model in zip(
            places(comparison), (cell.outline(task) for cell in comparison.cells), strict=True
        )
    }
    wanted = (
        TEMPLATE.size
        * TEMPLATE.embedding_dim
        * (task.users.num_embeddings + task.items.num_embeddings)
    )
    assert all(0.96 * wanted < size <= wanted for size in sizes.values()), sizes


def test_variants_of_a_load_have_its_rows_under_the_network_of_their_base():
    many = Task.from_interactions(synthetic_interactions(2_000, num_users=700, num_items=640))
    comparison = planned(many, "load", "load-shared", "load-hashes")
    base, *others = (cell.outline(many) for cell in comparison.cells)
    assert comparison.cells[0].variant == "sketch"
    assert comparison.left_out == ()
    rows = []
    for model in others:
        for mine, of_base in ((model.users, base.users), (model.items, base.items)):
            assert mine.options == of_base.options
        rows.append(len(model.items.encodings[0].rows.weight))
    n = many.items.num_embeddings
    loads = [4 * n, 2 * n, n, n // 2, n // 4]
    assert rows == pytest.approx([*loads, *loads, *[n // 2] * 4], abs=4)


def test_a_variant_that_cannot_have_the_size_is_left_out(task):
    comparison = planned(task, "k", template=replace(TEMPLATE, size=0.5))
    (reason,) = comparison.left_out
    assert reason.startswith("k, 1024: 2 layers over 1024 numbers need at least")
    assert ("k", "1024") not in places(comparison)
    assert ("k", "16") in places(comparison)


@pytest.mark.parametrize(
    ("studies", "named"),
    [
        ((), "studies must be one or more and none of them twice, got none"),
        (("norm", "norm"), "studies must be .* got norm, norm"),
        (("magic",), "study must be one of encoding, k, .*; got 'magic'"),
    ],
)
def test_studies_that_cannot_be_carried_out_are_refused(task, studies, named):
    with pytest.raises(InputError, match=named):
        planned(task, *studies)


def test_a_size_that_a_base_cannot_have_is_refused(task):
    with pytest.raises(InputError, match="norm, base: deep_hash needs at least"):
        planned(task, "norm", template=replace(TEMPLATE, size=0.001))


@pytest.fixture(scope="module")
def small():
    return Task.from_interactions(synthetic_interactions(1_000, num_users=40, num_items=50))


def test_an_ablation_grows_and_resumes(tmp_path, small):
    first = planned(small, "skip")
    first.finished(small, tmp_path)
    assert len(list(run_all(first, small, tmp_path, jobs=1, threads=1))) == 2
    more = planned(small, "skip", "optimizer", "batch")
    trained = list(run_all(more, small, tmp_path, jobs=1, threads=1))
    assert {(row["study"], row["variant"]) for row in trained} == {
        ("optimizer", "AdamW"), ("batch", "256"), ("batch", "1,024"), ("batch", "4,096"),
    }  # fmt: skip
    results = read_results(tmp_path)
    assert results["selected"].all()
    rows = {(row["study"], row["variant"]): row for row in results.to_dicts()}
    assert rows["optimizer", "AdamW"]["optimizer"] == "adamw"
    assert rows["batch", "1,024"]["batch_size"] == 1024
    assert '"skip": true' in rows["skip", "linear"]["design"]
    assert list(run_all(first, small, tmp_path, jobs=1, threads=1)) == []
    other = planned(small, "skip", template=replace(TEMPLATE, size=1.0))
    with pytest.raises(InputError, match=r"runs with size 2\.0, and this command asks for 1\.0"):
        other.finished(small, tmp_path)
    changed = replace(first, cells=(replace(first.cells[1], design=BASES["deep_hash"]),))
    with pytest.raises(InputError, match="holds runs with design"):
        changed.finished(small, tmp_path)
