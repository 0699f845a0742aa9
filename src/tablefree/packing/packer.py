"""`pack` and `unpack`: a trained module whose rows are a few bytes each, and back."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tablefree.checks import check_number
from tablefree.embeddings.cafe import without_sketches
from tablefree.embeddings.stacked import FrozenStack
from tablefree.encodings.row_claims import FINGERPRINT_BYTES
from tablefree.encodings.sketch import SketchEncoding
from tablefree.errors import InputError
from tablefree.frozen_network import FrozenNetwork
from tablefree.packing.books import Books
from tablefree.packing.choice import SMALLEST, candidates, smallest
from tablefree.packing.encoding import Statistics
from tablefree.packing.examples import Examples, evaluating, statistics_of, weighted_error
from tablefree.packing.filled import empty, float_rows, unpacked, used_rows
from tablefree.packing.forms import Form
from tablefree.packing.mixture import Mixture, best_within
from tablefree.packing.options import Options
from tablefree.packing.pruning import Owners, owners_in
from tablefree.packing.tables import (
    Table,
    check_module,
    choices_of,
    float_size,
    form_of,
    halved_in,
    packed_size,
    rows_bytes,
    rows_in,
    tables_in,
)
from tablefree.packing.tuning import tune
from tablefree.pretrained import redone_when_loaded

FINALISTS = 2  # forms whose codebooks learn further

ModuleType = TypeVar("ModuleType", bound=nn.Module)


def pack(
    module: ModuleType,
    *,
    form: Form | str | None = None,
    bytes_per_id: float | None = None,
    num_bytes: float | None = None,
    ratio: float | None = None,
    max_loss: float | None = None,
    examples: Sequence[Any] | None = None,
    validation: Sequence[Any] | None = None,
) -> ModuleType:
    """A copy for inference with the same call, whose learned rows are packed bytes.

    Rows of `nn.Embedding`s, which all methods but deep hashing learn, take the form; an id and its
    row lie in one place. Other parameters of tablefree's modules, such as decoders, become float16;
    those of other libraries' layers stay. Nothing is ever unpacked as a whole.

    One of `form`, `bytes_per_id`, `num_bytes`, `ratio` and `max_loss` says how small it is to be.
    Of the forms that are small enough, the best in validation is taken; without `validation` that
    of the least error in the rows, as the scores of `examples` have it. Where the size is that of
    the module, one of them is a form for each table, by what its errors cost the scores.

    Args:
        module: an embedding, a collection, a recommender, or any model with them in it.
        form: the form itself, such as "residual-4x8" (see `Form`).
        bytes_per_id: of a row, 2 bytes for the fingerprint of its owner included.
        num_bytes: of all tensors of the module.
        ratio: likewise, to those of the module as it is.
        max_loss: of AUC in validation, at least 0: the fewest bytes that lose no more, to within a
            factor of 1.4.
        examples: what the module is called with in training, and labels, as of `Examples`: tells
            which errors matter, and with `validation` codebooks learn from it further (see
            `tune`). A few hundred thousand will do.
        validation: likewise, held out, of a model whose score is a logit.

    Raises:
        InputError: not one of the five, or a size that is none or that no form has; what is no
            module, or packed or frozen; examples or labels of another kind, or labels of one class;
            `max_loss` without `validation`; rows that are not finite; codes without FAISS.

    Example:
        >>> from tablefree import FullTable
        >>> table = FullTable(1000, 32)
        >>> packed = pack(table, form="int4")
        >>> packed(torch.tensor([7])).shape, packed_bytes(packed), packed_bytes(table)
        (torch.Size([1, 32]), 18018, 128128)
    """
    wanted = {"form": form, "bytes_per_id": bytes_per_id, "num_bytes": num_bytes}
    wanted |= {"ratio": ratio, "max_loss": max_loss}
    given = [name for name, value in wanted.items() if value is not None]
    if len(given) != 1:
        raise InputError(
            f"pass one of {', '.join(wanted)}, which say how small it is to be; got "
            f"{', '.join(given) or 'none'}"
        )
    (name,) = given
    if name == "form":
        form = Form.parse(form) if isinstance(form, str) else form
        if not isinstance(form, Form):
            raise InputError(
                f'form is a Form or its name, such as "residual-4x8", got {form!r:.50}'
            )
    elif max_loss is None:
        check_number(0, **{name: wanted[name]})
    elif max_loss != 0:
        check_number(0, max_loss=max_loss)
    if validation is not None:
        Examples("validation", validation).check_classes()
    packer = Packer(module, examples, validation)
    if isinstance(form, Form):
        return packer.tuned(form).module
    if max_loss is not None:
        return packer.within_loss(max_loss).module
    size = num_bytes if num_bytes is not None else (ratio or 0) * float_size(module)

    found = packer.within(size) if bytes_per_id is None else packer.of_few_bytes(bytes_per_id)
    if not found:
        least = min(map(packer.size, SMALLEST if packer.tables else [Form("float16")]))
        raise InputError(
            f"no form is as small as this {name}: the smallest takes {least} bytes, "
            f"{least / float_size(packer.module):.3g} of the module's: allow more, or train rows "
            "that are fewer or narrower"
        )
    return found[0].module


def unpack(module: ModuleType) -> ModuleType:
    """A copy of a packed module with float32 rows, in evaluation mode, to train on.

    Rows are what lookups of the packed module give, bit for bit, and their owners the same.

    Raises:
        InputError: nothing in it is packed.
    """
    check_module(module)
    packed = [one for one in module.modules() if isinstance(one, Books)]
    if _described(module) is None:
        raise InputError(f"nothing in this {type(module).__name__} is packed")
    with torch.random.fork_rng(devices=()):
        copied = copy.deepcopy(module, {id(one): unpacked(one) for one in packed})
    for one in list(copied.modules()):
        if parametrize.is_parametrized(one):
            _make_float32(one)
    return copied.requires_grad_(True).eval()


def packed_bytes(module: nn.Module) -> int:
    """Bytes of the tensors that are saved of a module, packed or not; shared ones count once."""
    check_module(module)
    return float_size(module)


@dataclass
class Trial(Generic[ModuleType]):
    """A module in a form.

    Attributes:
        form: of the rows.
        module: packed.
        quality: the AUC in validation; without one, what the rows' errors cost, below zero.
        is_tuned: whether the codebooks have learned further.
    """

    form: Form | Mixture
    module: ModuleType
    quality: float
    is_tuned: bool = False


class Packer(Generic[ModuleType]):
    """Packs a module in one form or another, and knows what that costs.

    Args:
        module: see `pack`, as all that follow.
        examples: likewise.
        validation: likewise.
        met: of sketches in the module, int64 ids of all of training, where examples are a part: by
            these it is decided who keeps a row.

    Raises:
        InputError: as `pack`.
    """

    def __init__(
        self,
        module: ModuleType,
        examples: Sequence[Any] | None = None,
        validation: Sequence[Any] | None = None,
        met: Mapping[nn.Module, Tensor] | None = None,
    ) -> None:
        _check_can_be_packed(module)
        module = without_sketches(module)
        self.module, self.tables = module, tables_in(module)
        self.examples = None if examples is None else Examples("examples", examples)
        self.validation = None if validation is None else Examples("validation", validation)
        self._trials: dict[Form | Mixture, Trial[ModuleType]] = {}
        statistics: dict[nn.Module, Statistics] = {}
        owners: dict[nn.Module, Owners] = {}
        known = self.examples or self.validation
        if known is not None and self.tables:
            rows = list(dict.fromkeys(map(rows_in, self.tables.values())))
            with evaluating(module):
                statistics = statistics_of(module, rows, known)
                if self.examples is not None and self.validation is not None:
                    owners = owners_in(module, self.examples, met or {})
        self._options = Options(statistics, owners)

    def trial(self, form: Form | Mixture) -> Trial[ModuleType]:
        """The module in a form; a form is made once."""
        if form not in self._trials:
            tables = list(self.tables.values())
            choices = zip(tables, choices_of(tables, form), strict=True)
            made = {table: self._options.made(table, choice) for table, choice in choices}
            packed = _with_tables(self.module, made, halved_in)
            self._trials[form] = Trial(form, packed, self._quality(packed))
        return self._trials[form]

    def tuned(self, form: Form | Mixture) -> Trial[ModuleType]:
        """The module in a form, its codebooks tuned where there is what to learn from."""
        trial = self.trial(form)
        if not trial.is_tuned and self.examples is not None and self.validation is not None:
            trial.quality = tune(trial.module, self.examples, self.validation)
            trial.is_tuned = True
        return trial

    def within(self, num_bytes: float) -> list[Trial[ModuleType]]:
        """The forms of at most so many bytes of the module, the best first; none where none fits.

        Args:
            num_bytes: of all tensors.
        """
        forms = self.forms(lambda form: self.size(form) <= num_bytes)
        trials = [*map(self.trial, forms)]
        mixtures = map(self.trial, self._mixtures(num_bytes, trials))
        return self._tuned_first([*trials, *mixtures])

    def of_few_bytes(self, bytes_per_id: float) -> list[Trial[ModuleType]]:
        """The forms of at most so many bytes a row, the best first; none where none fits."""
        forms = self.forms(lambda form: self.bytes_per_id(form) <= bytes_per_id)
        return self._tuned_first([*map(self.trial, forms)])

    def _tuned_first(self, trials: list[Trial[ModuleType]]) -> list[Trial[ModuleType]]:
        """The best first; the codebooks of the best few are tuned."""
        for one in sorted(trials, key=_by_quality, reverse=True)[:FINALISTS]:
            self.tuned(one.form)
        return sorted(trials, key=_by_quality, reverse=True)

    def _mixtures(self, num_bytes: float, trials: Sequence[Trial[ModuleType]]) -> list[Mixture]:
        """What becomes of each table so that it is best of all; none where that cannot be told.

        Args:
            num_bytes: of the module.
            trials: of one form for all, if any fits.
        """
        tables = list(self.tables.values())
        if self.examples is None or self.validation is None:
            return []
        if any(self._options.known(one).counts is None for one in tables):
            return []
        near = max(trials, key=_by_quality).form if trials else SMALLEST[-1]
        before = choices_of(tables, near)
        sizes = [rows_bytes(table, *one) for table, one in zip(tables, before, strict=True)]
        options = {
            table: self._options.near(table, of_table.form)
            for table, of_table in zip(tables, before, strict=True)
        }
        chosen = best_within(options, num_bytes - (self.size(near) - sum(sizes)))
        return [Mixture(tuple(chosen[table] for table in tables))] if chosen else []

    def forms(self, fits: Callable[[Form], bool]) -> list[Form]:
        """The forms to try of those that fit."""
        if not self.tables:
            return [form for form in (Form("float16"),) if fits(form)]
        return candidates(fits, min(rows_in(one).embedding_dim for one in self.tables.values()))

    def within_loss(self, max_loss: float) -> Trial[ModuleType]:
        """The smallest of the forms tried that loses so much of AUC at most.

        Raises:
            InputError: there is no validation, or float16 loses more.
        """
        if self.validation is None:
            raise InputError("max_loss is of AUC in validation: pass validation=(…, labels)")
        with evaluating(self.module):
            before = self.validation.auc(self.module)

        def loss_of(budget: int) -> float:
            found = self.within(budget)
            return before - found[0].quality if found else inf

        smallest(loss_of, self.size(Form("float16")), max_loss)
        held = [one for one in self._trials.values() if before - one.quality <= max_loss]
        return min(held, key=lambda one: self.size(one.form))

    def size(self, form: Form | Mixture) -> int:
        """Bytes of the module in a form."""
        return packed_size(self.module, form)

    def bytes_per_id(self, form: Form) -> int:
        """The most bytes a row of any table, with the fingerprint where it has one."""
        sizes = [
            form_of(one, form).row_bytes(rows_in(one).embedding_dim)
            + FINGERPRINT_BYTES * isinstance(one, SketchEncoding)
            for one in self.tables.values()
        ]
        return max(sizes, default=0)

    def _quality(self, packed: ModuleType) -> float:
        if self.validation is not None:
            return self.validation.auc(packed)
        parts = dict(packed.named_modules())
        errors = []
        for path, table in self.tables.items():
            used, (metric, counts) = used_rows(table), self._options.known(table)
            rows = cast(Books, parts[path]).all_rows()[used]
            known = Statistics(metric, None if counts is None else counts[used])
            errors.append(weighted_error(float_rows(table)[used], rows, known))
        return -sum(errors)


def _by_quality(trial: Trial[Any]) -> float:
    return trial.quality if trial.quality == trial.quality else -inf  # a training that diverged


class _Float32(nn.Module):
    """What a float16 parameter is computed with."""

    def forward(self, halves: Tensor) -> Tensor:
        return halves.float()


def _with_tables(
    module: ModuleType,
    tables: Mapping[Table, Books],
    halved: Callable[[nn.Module], list[tuple[nn.Module, str]]],
) -> ModuleType:
    """A copy in which packed tables take the place of tables, and parameters are float16."""
    copied = copy.deepcopy(module, {id(table): packed for table, packed in tables.items()})
    copied.requires_grad_(False).eval()
    for owner, name in halved(copied):
        parameter = getattr(owner, name)
        if parameter.dtype == torch.float32:
            halves = parameter.half()
            if not parameter.is_meta and not halves.isfinite().all():
                raise InputError(f"{name} of a {type(owner).__name__} does not fit float16")
            setattr(owner, name, nn.Parameter(halves, requires_grad=False))
            parametrize.register_parametrization(owner, name, _Float32(), unsafe=True)
    return copied


def _make_float32(part: nn.Module) -> None:
    """Make float16 parameters plain ones; its class is one that the packed module has too."""
    values = {name: getattr(part, name).detach() for name in part.parametrizations}  # type: ignore[union-attr]
    part.__class__ = type(part).__bases__[0]
    del part.parametrizations
    for name, value in values.items():
        part.register_parameter(name, nn.Parameter(value))


def _check_can_be_packed(module: nn.Module) -> None:
    check_module(module)
    parts = list(module.modules())
    if any(isinstance(one, Books) for one in parts):
        raise InputError(
            f"this {type(module).__name__} is packed already: `unpack` it first, or pack the "
            "trained module"
        )
    if any(isinstance(one, FrozenNetwork | FrozenStack) for one in parts):
        raise InputError("a frozen network has its dtype already: pack the trained module")
    if not tables_in(module) and not halved_in(module):
        raise InputError(
            f"a {type(module).__name__} has no rows to pack: pass a module with embeddings in it"
        )


def _described(module: nn.Module) -> dict[str, Any] | None:
    """What `config.json` says of what is packed in a module."""
    rows = {
        path: {"form": str(one.form), "spans": one.spans}
        for path, one in module.named_modules()
        if isinstance(one, Books)
    }
    halves = [
        [path, name]
        for path, one in module.named_modules()
        if parametrize.is_parametrized(one)
        for name in one.parametrizations
    ]
    return {"rows": rows, "float16": halves} if rows or halves else None


def _packed_again(module: nn.Module, described: Mapping[str, Any]) -> nn.Module:
    """What `_described` tells, done to a fresh module."""
    tables = tables_in(module)
    packed = {
        tables[path]: empty(tables[path], Form.parse(one["form"]), [int(at) for at in one["spans"]])
        for path, one in described["rows"].items()
    }
    return _with_tables(
        module,
        packed,
        lambda copied: [(copied.get_submodule(path), name) for path, name in described["float16"]],
    )


redone_when_loaded("packed", _described, _packed_again)
