"""The studies are data, so that what they say can be checked without a training."""

from dataclasses import fields, replace

import pytest

from tablefree.experiments.designs import Design
from tablefree.experiments.studies import BASES, STUDIES, Variant, place
from tablefree.training.fit import Recipe

KNOWN = {field.name for kind in (Design, Recipe) for field in fields(kind)}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_a_base_and_what_changes(name):
    study = STUDIES[name]
    own = [variant for variant in study.variants if variant.base in (None, study.base)]
    assert sum(not variant.changes for variant in own) == 1
    labels = [variant.label for variant in study.variants]
    assert len(set(labels)) == len(labels) > 1
    assert study.base in BASES
    assert name.startswith(("sketch-", "load")) == (study.base == "sketch")


@pytest.mark.parametrize("name", STUDIES)
def test_a_variant_changes_fields_to_other_values(name):
    study = STUDIES[name]
    for variant in study.variants:
        assert variant.changes.keys() <= KNOWN
        base = BASES[variant.base or study.base]
        of_design = {key: new for key, new in variant.changes.items() if hasattr(base, key)}
        assert not of_design or replace(base, **of_design) != base


def test_the_issue_s_factors_are_there():
    assert {
        "encoding", "k", "m", "family", "depth", "activation", "norm", "skip", "dropout", "decay",
        "optimizer", "schedule", "batch", "epochs",
    } <= STUDIES.keys()  # fmt: skip


def test_only_rows_an_id_change_the_size():
    varied = {name for name, study in STUDIES.items() if study.varies_size}
    assert varied == {"load", "load-shared", "load-hashes"}


def test_a_base_is_shared_by_its_studies():
    assert place("depth", Variant("2")) == place("norm", Variant("batch")) == ("base", "deep_hash")
    assert place("encoding", Variant("sketch", base="sketch")) == ("base", "sketch")
    assert place("depth", Variant("3", {"depth": 3})) == ("depth", "3")
