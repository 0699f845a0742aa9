"""scikit-learn's way in: columns of categories to dense codes, or to trained embeddings.

Nothing is learned from the categories, so that new ones need no "unknown" and no second fit. Needs
scikit-learn, the extra `sklearn`.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import _check_feature_names_in, validate_data
from torch import Tensor

from tablefree.embeddings import Embedding
from tablefree.encodings import DenseHashEncoding
from tablefree.errors import InputError
from tablefree.ids import IdType, ids_and_type


class HashEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # it has no types
    """Turn each column of categories into `num_hashes` numbers, or into a trained embedding.

    The name of a column is the seed of its hash functions ("x0", "x1", ... without names), so equal
    categories of different columns differ, and those of one name agree between data sets, processes
    and versions. `fit` keeps names alone and whether categories are integers or strings, which
    `transform` then holds to ("7" and 7 differ); it works without.

    A category is a string, bytes or an integer. A float is one if only one integer can have become
    it: whole, and smaller than 2^53 (2^24 in float32), from where floats merge integers. So a
    column that pandas made float is the column of integers that it was; missing values and bools
    are refused.

    Args:
        num_hashes: numbers of a code; even for "gaussian".
        distribution: of a code's numbers: "uniform" on [-1, 1], or "gaussian"; what the encodings
            call their transform.
        embeddings: for some columns by name a trained embedding, or the folder or name on the Hub
            of a saved one, whose vectors take the place of codes. An embedding that needs a
            vocabulary wants numbers 0..n-1 as categories.

    Attributes:
        encoders_: for each column the module that encodes it; a copy, on the CPU.
        id_types_: of each column "integer" or "string", None for one without rows.
        n_features_in_: columns seen by `fit`.
        feature_names_in_: their names, if they have any.

    Raises:
        InputError: an option out of its range, an embedding for no column, a category that is none,
            with column and row, or a column of another type than in `fit`.

    Example:
        >>> codes = HashEncoder(num_hashes=4).fit_transform([["ann", 7], ["bob", 7]])
        >>> codes.shape
        (2, 8)
        >>> bool((codes[0, 4:] == codes[1, 4:]).all())
        True
    """

    def __init__(
        self,
        num_hashes: int = 64,
        *,
        distribution: str = "uniform",
        embeddings: Mapping[str, Embedding | str | Path] | None = None,
    ) -> None:
        self.num_hashes = num_hashes
        self.distribution = distribution
        self.embeddings = embeddings

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002, N803
        """Keep the names and types of the columns, and load their embeddings.

        Args:
            X: array, list of rows, or pandas or Polars frame [n, columns].
            y: not used.
        """
        columns = _columns(_validate(self, X, reset=True))
        names = _check_feature_names_in(self)
        unknown = set(self.embeddings or ()) - set(names)
        if unknown:
            raise InputError(
                f"embeddings are for the column(s) {', '.join(sorted(map(repr, unknown)))}, which "
                f"the data lacks: it has {', '.join(map(repr, names))}"
            )
        self.id_types_ = [_ids(*one)[1] for one in zip(names, columns, strict=True)]
        self.encoders_ = [self._encoder(name) for name in names]
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """Encode categories.

        Args:
            X: array, list of rows, or pandas or Polars frame [n, columns].

        Returns:
            float32 [n, numbers of all columns]: those of the first column, then of the next.
        """
        if not hasattr(self, "encoders_"):
            return copy.copy(self).fit(X).transform(X)
        columns = _columns(_validate(self, X, reset=False))
        names = _check_feature_names_in(self)
        ids = [_ids(*one) for one in zip(names, columns, self.id_types_, strict=True)]
        with torch.no_grad():
            codes = [
                encode(of_column).float()
                for encode, (of_column, _) in zip(self.encoders_, ids, strict=True)
            ]
        return torch.cat(codes, dim=-1).numpy()

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> NDArray[Any]:
        """The name of a column with the number of a code's place: "item_id_0", "item_id_1", ...

        Args:
            input_features: names of the columns, for data without.

        Raises:
            NotFittedError: before `fit`.
        """
        if not hasattr(self, "encoders_"):
            raise NotFittedError("names of the output come from those of the columns: call fit")
        names = _check_feature_names_in(self, input_features)
        return np.array(
            [
                f"{name}_{place}"
                for name, encoder in zip(names, self.encoders_, strict=True)
                for place in range(encoder.width)
            ],
            dtype=object,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.categorical = tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _encoder(self, name: str) -> DenseHashEncoding | Embedding:
        embedding = (self.embeddings or {}).get(name)
        if embedding is None:
            return DenseHashEncoding(self.num_hashes, seed=name, transform=self.distribution)
        if not isinstance(embedding, Embedding):
            return Embedding.from_pretrained(embedding)
        return copy.deepcopy(embedding).cpu().eval()


def _validate(encoder: HashEncoder, X: Any, *, reset: bool) -> Any:  # noqa: N803
    """Check the number and the names of columns; the columns of frames keep their types."""
    is_frame = hasattr(X, "columns")
    if not is_frame and not hasattr(X, "dtype"):
        X = np.asarray(X, dtype=object)  # noqa: N806  # or a row's numbers would become strings
    return validate_data(encoder, X, reset=reset, skip_check_array=is_frame, dtype=None)


def _columns(data: Any) -> Sequence[Any]:
    if hasattr(data, "iloc"):  # pandas
        return [data.iloc[:, place] for place in range(data.shape[1])]
    if hasattr(data, "get_columns"):  # Polars
        return list(data.get_columns())
    return list(data.T)


def _ids(name: str, column: Any, wanted: IdType | None = None) -> tuple[Tensor, IdType | None]:
    """The ids of a column and their type, which must be the wanted one if it is known."""
    is_float = "float" in str(column.dtype).lower()
    try:
        ids, id_type = ids_and_type(_whole(column) if is_float else column)
    except InputError as error:
        raise InputError(f"column {name!r}: {error}") from error
    if None not in (id_type, wanted) and id_type != wanted:
        raise InputError(
            f"column {name!r} has categories of type {id_type}, and in fit they were of type "
            f"{wanted}, of which none is equal: convert the column"
        )
    return ids, id_type


def _whole(column: Any) -> NDArray[np.int64]:
    """Floats as the integers that they were for sure."""
    values = column.to_numpy() if hasattr(column, "to_numpy") else column
    exact = 2.0 ** (np.finfo(values.dtype).nmant + 1)
    is_whole = (np.abs(values) < exact) & (values == np.trunc(values))
    if not is_whole.all():
        position = int(np.argmin(is_whole))
        raise InputError(
            f"a category that is a float must be whole and smaller than {exact:.0f}, so that it is "
            f"one integer for sure; got {values[position]} at position {position}: make the column "
            "integers or strings, and fill what is missing"
        )
    whole: NDArray[np.int64] = values.astype(np.int64)
    return whole
