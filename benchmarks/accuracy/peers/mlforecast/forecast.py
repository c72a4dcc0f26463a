"""mlforecast: LightGBM on lags and rolling means with calendar and weather, and its conformal intervals."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pandas as pd
from case import Case, Origin, Run, calendar, filled, read, weather
from lightgbm import LGBMRegressor
from mlforecast import MLForecast
from mlforecast.lag_transforms import RollingMean
from mlforecast.utils import PredictionIntervals

WINDOWS = 20  # of its cross-validation, whose errors make the intervals


def frame(rows: pd.DataFrame, case: Case) -> pd.DataFrame:
    """Rows as its long format: one series, naive UTC stamps, exogenous columns beside it."""
    columns = calendar(rows.index, case).join(weather(rows, case))
    load = filled(rows["load"], 7 * case.day).where(rows.index <= rows["load"].last_valid_index())
    return columns.assign(unique_id=case.zone, ds=rows.index.tz_localize(None), y=load).reset_index(drop=True)


def fitted(case: Case, origin: Origin) -> MLForecast:
    """A forecaster of what was public at the origin."""
    day = case.day
    model = MLForecast(
        models={"m": LGBMRegressor(n_estimators=400, learning_rate=0.05, random_state=0, n_jobs=1, verbose=-1)},
        freq=case.freq,
        lags=[*range(1, day + 1), 2 * day, 7 * day, 14 * day],
        lag_transforms={1: [RollingMean(3 * day), RollingMean(7 * day)]},
    )
    return model.fit(
        frame(case.learned(origin), case),
        static_features=[],
        prediction_intervals=PredictionIntervals(n_windows=WINDOWS, h=case.horizon),
    )


def forecast(case: Case, origin: Origin, model: MLForecast, *, since: pd.Timestamp) -> pd.DataFrame:
    """The quantiles of one origin, after an update by what is known ``since`` then: the point and pairs of bounds."""
    rows = frame(case.seen(origin).loc[origin.known_until - pd.Timedelta(days=40) :], case)
    known, old = (rows["ds"] <= at.tz_localize(None) for at in (origin.known_until, since))
    if not (known <= old).all():
        model.update(rows[known & ~old])
    pairs = {round(100 * (1 - 2 * low), 6): low for low in case.quantiles if low < 0.5}
    made = model.predict(case.steps(origin), level=sorted(pairs), X_df=rows[~known].drop(columns="y"))
    fan = {0.5: made["m"]}
    for level, low in pairs.items():
        fan |= {low: made[f"m-lo-{level}"], round(1 - low, 6): made[f"m-hi-{level}"]}
    return pd.DataFrame(fan).set_axis(pd.DatetimeIndex(made["ds"]).tz_localize("UTC"))


def main(folder: Path) -> None:
    case, run = read(folder), Run()
    for block in case.blocks():
        with run.fitting():
            model = fitted(case, block[0])
        since = block[0].known_until
        for origin in block:
            with run.predicting():
                fan = forecast(case, origin, model, since=since)
            since = origin.known_until
            run.add(origin, fan)
    run.write(folder)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main(Path(sys.argv[1]))
