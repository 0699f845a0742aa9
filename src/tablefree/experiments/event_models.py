"""One model of events: train it into a folder, measure it on any data, have it predict."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from tablefree.data.parts import Rows
from tablefree.errors import InputError
from tablefree.experiments import plans
from tablefree.experiments.event_task import EventTask
from tablefree.experiments.parquet import writing
from tablefree.experiments.positives import Pair, Positives, split_positives, whole_events
from tablefree.experiments.single import check_converged
from tablefree.fields.events import Events, event_batches, read_events
from tablefree.fields.model import Predictor
from tablefree.fields.plan import Plan
from tablefree.fields.split import Parts, check_labels, split_events
from tablefree.fields.table import Table
from tablefree.models.field_model import FieldModel
from tablefree.packing import packed_bytes
from tablefree.packing.books import Books
from tablefree.packing.tables import least_size
from tablefree.training.checkpoint import LOGS, Checkpoint, check_folder, save_checkpoint
from tablefree.training.event_measures import has_new_value, measures
from tablefree.training.events import new_predictor, train_events
from tablefree.training.fit import Recipe

PROBABILITY = "probability"


def train_predictor(
    task: EventTask,
    plan: Plan,
    recipe: Recipe,
    folder: Path,
    *,
    model: str,
    seed: int,
    num_bytes: int | None,
    show_progress: bool = False,
    on_packing: Callable[[], None] = lambda: None,
) -> Checkpoint:
    """Train a model, pack it, measure it on the test part and write its checkpoint.

    Args:
        task: the events.
        plan: of the embeddings.
        recipe: of the training.
        folder: where the checkpoint goes, and a TensorBoard log into `logs` in it.
        model: of `fields.model.MODELS`.
        seed: of all that is random.
        num_bytes: of the packed embeddings and vocabularies; None to keep float32.
        show_progress: whether a progress bar is shown.
        on_packing: called when the training is over and the packing begins, which takes as long.

    Raises:
        InputError: a folder that is not free or cannot be written to; no form that is as small; a
            training that diverged.
    """
    check_folder(folder)
    if num_bytes is not None:
        _check_budget(task, plan, model, num_bytes)
    predictor, fit = train_events(
        plan,
        task.train,
        task.validation,
        recipe,
        model=model,
        seed=seed,
        others=task.others,
        log_folder=folder / LOGS,
        show_progress=show_progress,
    )
    quality, form = fit.validation_auc, "float32"
    check_converged(quality, recipe)
    if num_bytes is not None:
        on_packing()
        packer = plans.packer_of(predictor, task)
        best, *_ = plans.packed_within(packer, predictor, num_bytes)
        predictor, quality, form = best.module, best.quality, str(best.form)
    run = {
        "model": model,
        "seed": seed,
        "recipe": asdict(recipe),
        "float32_validation_auc": fit.validation_auc,
        "form": form,
        "num_bytes": num_bytes,
        "pair": None if task.positives is None else task.positives.pair.config(),
        **bytes_of(predictor),
        "features": features_of(predictor),
    }
    measures = {"validation_auc": quality, **_tested(predictor, task.test, task.new_values)}
    checkpoint = Checkpoint(predictor.eval(), task.name, task.split, run, measures)
    save_checkpoint(folder, checkpoint)
    return checkpoint


def features_of(predictor: Predictor) -> dict[str, dict[str, Any]]:
    """What each feature has: its method, the form of its rows, and the bytes with a vocabulary."""
    assert isinstance(predictor.model, FieldModel)
    embeddings, vocabularies = predictor.model.embeddings, predictor.vocabularies()
    found = {}
    for name, config in embeddings.config().items():
        module = embeddings.embedding(name)
        forms = [str(one.form) for one in module.modules() if isinstance(one, Books)]
        num_bytes = packed_bytes(module)
        if name in vocabularies:
            num_bytes += vocabularies[name].nbytes
        form = forms[0] if forms else "float32"
        found[name] = {"method": config["method"], "form": form, "num_bytes": num_bytes}
    return found


def _check_budget(task: EventTask, plan: Plan, model: str, num_bytes: int) -> None:
    """Refuse, before any training, bytes that no form of the embeddings fits into."""
    outline = new_predictor(plan, task.train, model=model, seed=0)
    least = least_size(outline.embeddings) + outline.vocabulary_bytes
    if least > num_bytes:
        raise InputError(
            f"these embeddings take {least:,} bytes at least when they are packed, "
            f"{outline.vocabulary_bytes:,} of them vocabularies, and {num_bytes:,} are allowed: "
            f"allow more (--bytes {least}), or drop columns"
        )


def bytes_of(predictor: Predictor) -> dict[str, int]:
    """The bytes of embeddings, of vocabularies and of the network over them."""
    tensors = (*predictor.parameters(), *predictor.buffers())
    of_embeddings = packed_bytes(predictor.embeddings)
    total = sum(one.nbytes for one in tensors)
    vocabularies = predictor.vocabulary_bytes
    return {
        "embedding_bytes": of_embeddings,
        "vocabulary_bytes": vocabularies,
        "network_bytes": total - of_embeddings - vocabularies,
    }


def evaluate_predictor(
    predictor: Predictor, table: Table, split: str | None = None, pair: Pair | None = None
) -> dict[str, float | None]:
    """The measures of a model on the rows of a table that have a label.

    Args:
        predictor: the model.
        table: of all rows, read in batches; or in memory for a split.
        split: of `fields.split.SPLITS`, for the test part of the rows, as in training; None for all
            of them.
        pair: of a model of events without a label, the columns of users and items.

    Raises:
        InputError: a column of the training that is missing, or has values of another type; no row
            with a label; a split that the rows do not have.
    """
    if pair is not None:
        return _evaluate_positives(predictor, table, split, pair)
    if split is not None:
        events = read_events(table, predictor.columns)
        parts = split_events(events, split)
        check_labels(events, parts, split)
        train, test = events.at(parts.train), events.at(parts.test)
        return _tested(predictor, test, has_new_value(test, train))
    found = list(_scored(predictor, table))
    logits = torch.cat([torch.zeros(0), *(logits for logits, _ in found)])
    labels = torch.cat([torch.zeros(0), *(labels for _, labels in found)])
    is_known = ~labels.isnan()
    if not is_known.any():
        raise InputError(f"{table.name} has no row with a label: pass events whose end is known")
    return {
        "events": int(is_known.sum()),
        **measures(logits[is_known], labels[is_known])._asdict(),
    }


def _evaluate_positives(
    predictor: Predictor, table: Table, split: str | None, pair: Pair
) -> dict[str, float | None]:
    """The same of events that all took place, and of others that are drawn beside them."""
    events = whole_events(read_events(table, predictor.columns), pair)
    none = np.zeros(0, np.int64)
    parts = (
        split_positives(events, pair, split) if split else Parts(none, none, np.arange(len(events)))
    )
    of_split = split or "whole", parts
    positives = Positives.of(table.name, events, predictor.columns, pair, of_split)
    events = positives.consistent(events)
    test = positives.test(events)
    if split is not None:
        return _tested(predictor, test, has_new_value(test, events.at(parts.train)))
    assert test.labels is not None
    found = measures(predictor.logits(test), torch.from_numpy(test.labels))
    return {"events": len(test), **found._asdict()}


def _tested(predictor: Predictor, test: Events, new_values: Tensor) -> dict[str, float | None]:
    """The measures of a test part, and of how many events they are."""
    found = plans.tested(predictor, test, new_values)
    return {"test_events": len(test), "test_events_unseen": int(new_values.sum()), **found}


def write_predictions(
    predictor: Predictor, table: Table, path: Path, keep: Sequence[str] = ()
) -> int:
    """Write the column `probability`, float32, of the label 1 for each row, in order.

    Args:
        predictor: the model.
        table: of the rows, which are read and written in batches.
        path: the Parquet file, found whole or not at all.
        keep: columns of the table that are written before it, as they are read.

    Returns:
        How many rows there were.

    Raises:
        InputError: a column that is missing, or has values of another type than in training; a
            column to keep that is not there, is named twice or has the name of the new one; a file
            that cannot be written, or is a pipe.
    """
    taken = next((name for name in keep if name == PROBABILITY or keep.count(name) > 1), None)
    if taken is not None:
        raise InputError(f"the column {taken!r} would be in the output twice: keep others")
    first = next(table.batches(keep), None) if keep else None
    schema = pa.schema(
        [
            *(pa.field(name, pa.null() if first is None else first[name].type) for name in keep),
            pa.field(PROBABILITY, pa.float32()),
        ]
    )
    start = 0
    with writing(path, schema) as writer:
        for probabilities, kept in _beside(predictor.predictions(table), table, keep):
            rows = Rows(table.name, start=start)
            arrays = [_as_first(kept[name], schema.field(name), rows) for name in keep]
            arrays.append(pa.array(probabilities))
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
            start += len(probabilities)
    return start


def _beside(
    predictions: Iterator[NDArray[np.float32]], table: Table, keep: Sequence[str]
) -> Iterator[tuple[NDArray[np.float32], Any]]:
    """Probabilities, and columns of the same rows as the table divides them."""
    if not keep:
        yield from ((some, {}) for some in predictions)
        return
    waiting = np.zeros(0, np.float32)
    for batch in table.batches(keep):
        while len(waiting) < len(batch):
            waiting = np.concatenate([waiting, next(predictions)])
        some, waiting = np.split(waiting, [len(batch)])
        yield some, batch


def _as_first(array: pa.Array, field: pa.Field, rows: Rows) -> pa.Array:
    """A part of a column in the type of its first part: files of one table may differ."""
    try:
        return array.cast(field.type)
    except pa.ArrowException as error:
        raise InputError(
            f"the column {field.name!r} has values of type {field.type} at first, and of type "
            f"{array.type} from {rows.at(0)} on: save it in one type, or do not keep it"
        ) from error


def _scored(predictor: Predictor, table: Table) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits and labels, a batch at a time."""
    for events in event_batches(table, predictor.columns):
        assert events.labels is not None
        yield predictor.logits(events), torch.from_numpy(events.labels)
