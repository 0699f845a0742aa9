"""The table of a benchmark, `bench.parquet`: a public format, one row a case."""

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl
import torch

from tablefree.bench.case import EMBEDDING_DIM, Case, Measurement, dtype_text
from tablefree.bench.ceilings import Ceilings, roofline
from tablefree.files import replace_file
from tablefree.machine import describe_machine
from tablefree.version import __version__

FILE_NAME = "bench.parquet"

SCHEMA = pl.Schema(
    {
        # What was compared.
        "name": pl.String,  # numerator / denominator, where
        "group": pl.String,  # encode, inference, training, repeated ids, traffic, memory, latency
        "dtype": pl.String,  # of the arithmetic
        "batch": pl.Int64,  # ids
        "num_hashes": pl.Int64,
        "hidden": pl.String,  # widths of the hidden layers, as 512-512
        "embedding_dim": pl.Int64,
        # What came out. Milliseconds are null for memory, megabytes (10^6 bytes) for time.
        "ratio": pl.Float64,  # of the medians, as the name says; null for nothing measurable
        "better": pl.String,  # lower: the ratio is ours / against; higher: against / ours
        "repetitions": pl.Int64,
        "ours_ms": pl.Float64,  # median
        "ours_ms_quartile_1": pl.Float64,
        "ours_ms_quartile_3": pl.Float64,
        "against_ms": pl.Float64,
        "against_ms_quartile_1": pl.Float64,
        "against_ms_quartile_3": pl.Float64,
        "ours_mb": pl.Float64,
        "against_mb": pl.Float64,
        "note": pl.String,  # what a reader should know besides; may be empty
        # The roofline of inference; null elsewhere.
        "operations": pl.Int64,  # of the matrix products; a multiply-add is two
        "code_and_weight_bytes": pl.Int64,
        "gflops": pl.Float64,  # 10^9 operations a second that were reached
        "ceiling_gflops": pl.Float64,  # of a large matrix product in this dtype
        "ceiling_gigabytes": pl.Float64,  # 10^9 bytes a second of a copy, read and written
        "ceiling_share": pl.Float64,  # time that the ceilings leave / time taken
        # What it was measured on, and with.
        "device": pl.String,  # cpu or cuda
        "machine": pl.String,
        "threads": pl.Int64,
        "torch_version": pl.String,
        "tablefree_version": pl.String,
        "finished_at": pl.String,  # ISO 8601, UTC
    }
)
"""Columns of `bench.parquet`, in order."""


def result_row(case: Case, measured: Measurement, ceilings: Ceilings) -> dict[str, object]:
    """The row of one case: a value for each column of `SCHEMA`."""
    ours, against = median(measured.ours), median(measured.against)
    if case.unit == "ms":
        values = {
            f"{side}_ms{suffix}": float(np.quantile(times, share))
            for side, times in (("ours", measured.ours), ("against", measured.against))
            for suffix, share in (("", 0.5), ("_quartile_1", 0.25), ("_quartile_3", 0.75))
        }
    else:
        values = {"ours_mb": ours, "against_mb": against}
    numerator, denominator = (ours, against) if case.better == "lower" else (against, ours)
    row: dict[str, object] = {
        **dict.fromkeys(SCHEMA),
        "name": case.name,
        "group": case.group,
        "dtype": dtype_text(case.dtype),
        "batch": case.shape.batch,
        "num_hashes": case.shape.num_hashes,
        "hidden": "-".join(map(str, case.shape.hidden)),
        "embedding_dim": EMBEDDING_DIM,
        "ratio": numerator / denominator if denominator else None,
        "better": case.better,
        "repetitions": len(measured.ours),
        **values,
        "note": measured.note,
        "device": case.shape.device.type,
        "machine": _describe(case.shape.device),
        "threads": torch.get_num_threads(),
        "torch_version": torch.__version__,
        "tablefree_version": __version__,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    line = roofline(case, ours, ceilings)
    if line is not None:
        row |= {
            "operations": line.operations,
            "code_and_weight_bytes": line.num_bytes,
            "gflops": line.gflops,
            "ceiling_gflops": ceilings.gflops[case.dtype],
            "ceiling_gigabytes": ceilings.copy_gigabytes,
            "ceiling_share": line.share,
        }
    return row


def heading(row: Mapping[str, object]) -> list[str]:
    """What the cases of a run have in common, in two lines, from the row of the first."""
    return [
        f"{row['batch']} ids a batch and k {row['num_hashes']}, where the name has no other; d "
        f"{row['embedding_dim']}",
        f"{row['machine']}; torch {row['torch_version']}, tablefree {row['tablefree_version']}, "
        f"{str(row['finished_at'])[:10]}",
    ]


def write_results(folder: Path, rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Write `bench.parquet`, and return it.

    Raises:
        InputError: the folder cannot be written to.
    """
    results = pl.DataFrame(rows, schema=SCHEMA)
    buffer = io.BytesIO()
    results.write_parquet(buffer)
    replace_file(folder / FILE_NAME, buffer.getvalue())
    return results


def _describe(device: torch.device) -> str:
    machine = describe_machine()
    if device.type == "cuda":  # pragma: no cover - needs a GPU
        return f"{torch.cuda.get_device_name()}; {machine}"
    return machine
