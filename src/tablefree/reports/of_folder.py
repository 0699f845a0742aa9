"""The report of a folder of results, whichever command they are of."""

from pathlib import Path

from tablefree.experiments.parquet import read_table
from tablefree.experiments.results import read_results
from tablefree.reports.ablation import ablation_report
from tablefree.reports.comparison import comparison_report
from tablefree.reports.growth import growth_report
from tablefree.reports.plans import plan_report
from tablefree.reports.report import Report


def report_of(folder: Path) -> Report:
    """The report of a comparison, of plans or of users and items, of an ablation or of new ids.

    Args:
        folder: holds `results.parquet`, whose columns tell what it is of.

    Raises:
        InputError: the results cannot be read.

    Example:
        >>> report_of(Path("runs/ml-1m")).write(Path("runs/ml-1m"))  # doctest: +SKIP
        PosixPath('runs/ml-1m/report.html')
    """
    columns = read_table(folder).columns
    if "hold_out" in columns:
        return growth_report(folder)
    if "cell" in columns:
        return plan_report(folder)
    of_studies = (read_results(folder)["study"] != "").any()
    return ablation_report(folder) if of_studies else comparison_report(folder)
