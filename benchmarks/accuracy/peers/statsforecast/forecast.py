"""statsforecast: MSTL with a day and a week, its trend by exponential smoothing, fitted anew at every origin.

It knows the load alone. Eight weeks of it: more costs in proportion and tells a smooth decomposition little.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pandas as pd
from case import Case, Origin, Run, filled, read
from statsforecast.models import MSTL, AutoETS

MEMORY = pd.Timedelta(weeks=8)


def forecast(case: Case, origin: Origin, run: Run) -> pd.DataFrame:
    """The quantiles of one origin: the point and an interval a pair of quantiles."""
    load = case.seen(origin).loc[origin.known_until - MEMORY : origin.known_until, "load"]
    pairs = {round(100 * (1 - 2 * low), 6): low for low in case.quantiles if low < 0.5}
    with run.fitting():
        model = MSTL(season_length=[case.day, 7 * case.day], trend_forecaster=AutoETS(model="ZZN"))
        model.fit(filled(load, 7 * case.day).to_numpy())
    with run.predicting():
        made = model.predict(case.steps(origin), level=sorted(pairs))
    fan = {0.5: made["mean"]}
    for level, low in pairs.items():
        fan |= {low: made[f"lo-{level}"], round(1 - low, 6): made[f"hi-{level}"]}
    times = pd.date_range(origin.known_until + case.step, periods=case.steps(origin), freq=case.step)
    return pd.DataFrame({level: pd.Series(values).to_numpy() for level, values in fan.items()}, index=times)


def main(folder: Path) -> None:
    case, run = read(folder), Run()
    for origin in case.origins:
        run.add(origin, forecast(case, origin, run))
    run.write(folder)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main(Path(sys.argv[1]))
