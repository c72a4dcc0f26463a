"""neuralforecast: N-HiTS with quantile loss, a week in, calendar and weather as known future columns.

It is refitted every sixth month, 500 steps each: on one core a fit takes minutes.
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

import pandas as pd
import torch
from case import Case, Origin, Run, calendar, filled, read, weather
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MQLoss
from neuralforecast.models import NHITS

MONTHS, STEPS, DAYS_IN = 6, 500, 7
QUIET = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False, "enable_model_summary": False}


def frame(rows: pd.DataFrame, case: Case, *, name: str) -> pd.DataFrame:
    """Rows as its long format: one series, naive UTC stamps, known future columns beside it."""
    columns = calendar(rows.index, case).join(weather(rows, case)).drop(columns="month")
    load = filled(rows["load"], 7 * case.day)
    return columns.assign(unique_id=name, ds=rows.index.tz_localize(None), y=load).reset_index(drop=True)


def fitted(case: Case, origin: Origin) -> NeuralForecast:
    """A network fitted on what was public at the origin."""
    rows = frame(case.learned(origin), case, name=case.zone)
    model = NHITS(
        h=case.horizon,
        input_size=DAYS_IN * case.day,
        loss=MQLoss(quantiles=list(case.quantiles)),
        futr_exog_list=[name for name in rows if name not in ("unique_id", "ds", "y")],
        scaler_type="standard",
        max_steps=STEPS,
        windows_batch_size=256,
        random_seed=0,
        accelerator="cpu",
        **QUIET,
    )
    network = NeuralForecast(models=[model], freq=case.freq)
    network.fit(rows)
    return network


def forecasts(case: Case, block: tuple[Origin, ...], network: NeuralForecast) -> list[pd.DataFrame]:
    """The quantiles of some origins, each a series of its own: one call, as its overhead is seconds."""
    past, ahead = [], []
    for number, origin in enumerate(block):
        end = origin.known_until + case.horizon * case.step
        rows = case.seen(origin).reindex(
            pd.date_range(origin.known_until - pd.Timedelta(days=DAYS_IN + 8), end, freq=case.step)
        )
        both = frame(rows, case, name=f"{number:04d}")
        is_past = both["ds"] <= origin.known_until.tz_localize(None)
        past.append(both[is_past].tail(DAYS_IN * case.day))
        ahead.append(both[~is_past].drop(columns="y"))
    made = network.predict(df=pd.concat(past), futr_df=pd.concat(ahead))
    values = [name for name in made if name not in ("unique_id", "ds")]
    parts = [part for _, part in made.groupby("unique_id", sort=True)]
    return [
        part[values].set_axis(case.quantiles, axis=1).set_axis(pd.DatetimeIndex(part["ds"]).tz_localize("UTC"))
        for part in parts
    ]


def main(folder: Path) -> None:
    case, run = read(folder), Run()
    for block in case.blocks(every=MONTHS):
        with run.fitting():
            network = fitted(case, block[0])
        with run.predicting():
            fans = forecasts(case, block, network)
        for origin, fan in zip(block, fans, strict=True):
            run.add(origin, fan)
    run.write(folder)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
