"""The document of a run of `gpu.sh`: card, tests and timings, from the files that it wrote.

Run: python benchmarks/gpu_document.py results/gpu
"""

import sys
from pathlib import Path

import polars as pl


def document(folder: Path) -> str:
    """Markdown: what was tested and what came out, or that it did not come out."""
    card, versions = (folder / "device.txt").read_text().splitlines()
    parts = [
        f"# On a GPU: {card}",
        f"`benchmarks/gpu.sh`, {versions}",
        f"Tests of the kernels (`tests/kernels/test_cuda*.py`): {_verdict(folder / 'kernels.txt')}",
        f"Tests of all modules (`tests/test_devices.py`): {_verdict(folder / 'modules.txt')}",
        _timings(folder),
        f"`benchmarks/packed_lookup.py`:\n\n```\n{_printed(folder / 'packed.txt')}\n```",
        f"`benchmarks/train_events.py`:\n\n```\n{_printed(folder / 'events.txt')}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _verdict(path: Path) -> str:
    return path.read_text().strip().splitlines()[-1].strip("= ")


def _printed(path: Path) -> str:
    return path.read_text().strip()


def _timings(folder: Path) -> str:
    path = folder / "bench.parquet"
    if not path.exists():
        printed = (folder / "bench.txt").read_text().split("\n")
        return f"No timings; the last that was printed: {' '.join(printed[-3:]).strip() or 'none'}"
    rows = pl.read_parquet(path).filter(pl.col("ours_ms").is_not_null())
    lines = ["| ours / against | ours, ms | against, ms | ratio |", "|---|---|---|---|"]
    lines += [
        f"| {row['name']} | {row['ours_ms']:.3f} | {row['against_ms']:.3f} | {row['ratio']:.2f} |"
        for row in rows.to_dicts()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    (where / "gpu.md").write_text(document(where))
    print(where / "gpu.md")
