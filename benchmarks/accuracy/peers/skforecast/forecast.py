"""skforecast: a recursive forecaster over LightGBM with calendar and weather, and its conformal intervals.

Its residuals are out of sample: of the last 28 days before each refit, forecast by a model that had not seen them.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pandas as pd
from case import Case, Origin, Run, calendar, filled, read, weather
from lightgbm import LGBMRegressor
from skforecast.preprocessing import RollingFeatures
from skforecast.recursive import ForecasterRecursive

CALIBRATION = pd.Timedelta(days=28)


def forecaster(case: Case) -> ForecasterRecursive:
    """Lags of the day before, of yesterday's and last week's same time, and rolling means."""
    day = case.day
    return ForecasterRecursive(
        LGBMRegressor(n_estimators=400, learning_rate=0.05, random_state=0, n_jobs=1, verbose=-1),
        lags=[*range(1, day + 1), 2 * day, 7 * day, 14 * day],
        window_features=RollingFeatures(stats=["mean", "mean"], window_sizes=[3 * day, 7 * day]),
    )


def exogenous(rows: pd.DataFrame, case: Case) -> pd.DataFrame:
    return calendar(rows.index, case).join(weather(rows, case))


def window(case: Case, origin: Origin) -> tuple[pd.Series, pd.DataFrame]:
    """The load known at the origin and the exogenous columns of the steps after it."""
    rows = case.seen(origin).loc[origin.known_until - pd.Timedelta(days=29) :]
    load = filled(rows.loc[: origin.known_until, "load"], 7 * case.day).asfreq(case.freq)
    return load, exogenous(rows, case).loc[origin.known_until + case.step :]


def fitted(case: Case, origin: Origin) -> ForecasterRecursive:
    """A forecaster of what was public at the origin, with residuals of its last four weeks."""
    rows = case.learned(origin)
    load = filled(rows["load"], 7 * case.day).asfreq(case.freq)
    columns = exogenous(rows, case).asfreq(case.freq)
    split = origin.known_until - CALIBRATION
    trial = forecaster(case)
    trial.fit(load[:split], exog=columns[:split])
    model = forecaster(case)
    model.fit(load, exog=columns)
    lead, steps = case.horizon - case.day, case.horizon
    made = []
    for begin in pd.date_range(split, origin.known_until - steps * case.step, freq="24h"):
        after = columns.loc[begin + case.step : begin + steps * case.step]
        made.append(trial.predict(steps, last_window=load[:begin], exog=after)[lead:])
    forecast = pd.concat(made)
    model.set_out_sample_residuals(y_true=load[forecast.index].to_numpy(), y_pred=forecast.to_numpy())
    return model


def forecast(case: Case, origin: Origin, model: ForecasterRecursive) -> pd.DataFrame:
    """The quantiles of one origin: the point and an interval a pair of quantiles."""
    load, after = window(case, origin)
    fan = {}
    for low, high in zip(case.quantiles, reversed(case.quantiles), strict=True):
        if low < high:
            band = model.predict_interval(
                case.steps(origin),
                last_window=load,
                exog=after,
                method="conformal",
                interval=[low, high],
                use_in_sample_residuals=False,
            )
            fan |= {low: band["lower_bound"], 0.5: band["pred"], high: band["upper_bound"]}
    return pd.DataFrame(fan)


def main(folder: Path) -> None:
    case, run = read(folder), Run()
    for block in case.blocks():
        with run.fitting():
            model = fitted(case, block[0])
        for origin in block:
            with run.predicting():
                fan = forecast(case, origin, model)
            run.add(origin, fan)
    run.write(folder)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main(Path(sys.argv[1]))
