"""Train the variants of studies, at the same number of parameters (but see `Study`), tuned alike.

An ablation is a comparison whose cells are variants (see `compare`), so that it is tuned, resumed
and measured as one.
"""

from collections.abc import Sequence
from dataclasses import fields, replace

from tablefree.checks import check_choice
from tablefree.errors import InputError
from tablefree.experiments.compare import VARIED, PairComparison
from tablefree.experiments.designs import Design
from tablefree.experiments.recipes import STEPS_PER_EPOCH, default_recipe, steps_per_epoch
from tablefree.experiments.spec import Run
from tablefree.experiments.studies import BASES, STUDIES, Variant, place
from tablefree.experiments.task import Task
from tablefree.experiments.tuning import PARAMETERS

ABLATED = VARIED - {"model", "size"} | {
    "study", "variant", "design", "schedule", "batch_size", "max_epochs",
}  # fmt: skip
"""Columns that may differ between the runs of an ablation."""

_OF_DESIGN = {field.name for field in fields(Design)}


def plan(
    task: Task, *, template: Run, studies: Sequence[str], seeds: int, trials: int
) -> PairComparison:
    """Plan studies, and refuse what cannot be trained before anything is.

    The base of several studies is trained once. A variant that cannot have the size is left out.

    Args:
        task: the data.
        template: a run with the model, the size and the width of the embeddings; of its recipe the
            epochs, the patience and the precision.
        studies: of `tablefree.experiments.studies.STUDIES`.
        seeds: number of seeds.
        trials: number of trials of each variant.

    Raises:
        InputError: no study, one twice or an unknown one, or a size that a base cannot have.
    """
    if not studies or len(set(studies)) < len(studies):
        raise InputError(
            "studies must be one or more and none of them twice, got "
            f"{', '.join(studies) or 'none'}"
        )
    for name in studies:
        check_choice("study", name, tuple(STUDIES))
    cells: list[Run] = []
    left_out: list[str] = []
    for name in studies:
        base = Variant("base", base=STUDIES[name].base)
        for variant in (base, *STUDIES[name].variants):
            cell = variant_run(template, name, variant, task.events_per_id, steps_per_epoch(task))
            if cell in cells:
                continue
            try:
                cell.outline(task)
            except InputError as error:
                reason = f"{name}, {variant.label}: {error}"
                if variant is base:
                    raise InputError(reason) from error
                left_out.append(reason)
            else:
                cells.append(cell)
    return PairComparison(tuple(cells), seeds, trials, tuple(left_out), ABLATED)


def variant_run(
    template: Run,
    study: str,
    variant: Variant,
    events_per_id: float,
    steps: float = STEPS_PER_EPOCH,
) -> Run:
    """The run of a variant with the defaults of its base, from which its tuning starts.

    Args:
        template: as in `plan`.
        study: name of the study.
        variant: one of its variants.
        events_per_id: see `Task.events_per_id`.
        steps: of an epoch, see `steps_per_epoch`.
    """
    method = variant.base or STUDIES[study].base
    of_design = {name: new for name, new in variant.changes.items() if name in _OF_DESIGN}
    of_recipe = {name: new for name, new in variant.changes.items() if name not in _OF_DESIGN}
    same = {
        name: getattr(template.recipe, name) for name in ("max_epochs", "patience", "precision")
    }
    study_column, variant_column = place(study, variant)
    return replace(
        template,
        method=method,
        recipe=default_recipe(method, events_per_id, steps_per_epoch=steps, **same | of_recipe),
        study=study_column,
        variant=variant_column,
        design=replace(BASES[method], **of_design),
        fixed=tuple(name for name in of_recipe if name in PARAMETERS),
    )
