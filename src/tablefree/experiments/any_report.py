"""The report of a folder of results, whichever command they are of."""

from pathlib import Path

from tablefree.experiments.ablation_report import write_ablation
from tablefree.experiments.growth_report import write_growth
from tablefree.experiments.parquet import read_table
from tablefree.experiments.plan_report import write_plan_report
from tablefree.experiments.report import write_report
from tablefree.experiments.results import read_results


def write_any_report(folder: Path) -> Path:
    """Write the report of a comparison, an ablation or of new ids beside its results.

    Args:
        folder: holds `results.parquet`, whose columns tell what it is of.

    Returns:
        The path of `report.html`.

    Raises:
        InputError: the results cannot be read, or the folder cannot be written to.

    Example:
        >>> write_any_report(Path("runs/ml-1m"))  # doctest: +SKIP
        PosixPath('runs/ml-1m/report.html')
    """
    columns = read_table(folder).columns
    if "hold_out" in columns:
        return write_growth(folder)
    if "cell" in columns:
        return write_plan_report(folder)
    of_studies = (read_results(folder)["study"] != "").any()
    return write_ablation(folder) if of_studies else write_report(folder)
