"""Integers that are codes, by how often they occur: of numbers, neighbours occur about alike.

Where codes are given out whatever comes of them, how often one occurs tells nothing of the next:
neighbours differ as any two do (the ratio of von Neumann, "Distribution of the Ratio of the Mean
Square Successive Difference to the Variance", 1941). Amounts that people round have such gaps too,
but crowd somewhere, while codes are spread over their range.
"""

import numpy as np
import polars as pl

FEWEST = 100  # distinct values
NOISE = 2  # times what neighbours differ by chance
UNLIKE = 0.6  # of the variance: neighbours as unlike as any two have 1, smooth numbers almost 0
SPREAD = 0.4  # distance of values from an even spread (Kolmogorov and Smirnov's)
OUTER = 0.01  # of the values at either end may be far away, as -1 or 999999 in the place of none


def occur_as_codes(values: pl.Series) -> bool:
    """Whether integers [n], or text of them, nulls among them, occur as codes do."""
    numbers = values.cast(pl.Float64, strict=False).drop_nulls().drop_nans()
    counted = numbers.alias("value").to_frame().group_by("value").len().sort("value")
    if len(counted) <= FEWEST:
        return False
    scaled = 2 * np.sqrt(counted["len"].to_numpy() + 3 / 8)  # by chance of variance 1 (Anscombe)
    unlike = np.mean(np.diff(scaled) ** 2) / 2
    outer = int(OUTER * len(counted)) + 1
    inner = counted["value"].to_numpy()[outer:-outer]
    places = (inner - inner[0]) / (inner[-1] - inner[0])
    distance = np.abs(places - np.linspace(0, 1, len(inner))).max()
    return bool(unlike > max(NOISE, UNLIKE * scaled.var()) and distance < SPREAD)
