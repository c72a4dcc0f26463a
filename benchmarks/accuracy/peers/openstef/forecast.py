"""OpenSTEF 4: its presets, as a user sets them up for a country: a year of training, the index in local time.

The time zone is not in its guide; its features read the index's own clock, and a local one was better.
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

import pandas as pd
from case import Case, Origin, Run, read
from openstef_core.datasets import TimeSeriesDataset
from openstef_core.types import LeadTime, Q
from openstef_meta.presets import EnsembleForecastingWorkflowConfig, create_ensemble_forecasting_workflow
from openstef_models.presets import ForecastingWorkflowConfig, create_forecasting_workflow
from openstef_models.presets.forecasting_workflow import LocationConfig
from openstef_models.workflows.custom_forecasting_workflow import CustomForecastingWorkflow

TRAINING = pd.Timedelta(days=365)
CONTEXT = pd.Timedelta(days=17)  # the longest lag, 14 days, before a window that ends 41 hours after the newest load
NAMES = {"temperature_2m": "temperature", "wind_speed_10m": "windspeed"}


def workflow(case: Case, preset: str) -> CustomForecastingWorkflow:
    """A fresh workflow of the preset, its horizon the time from the newest load to the end of the window."""
    stated = {
        "model_id": case.zone,
        "quantiles": [Q(each) for each in case.quantiles],
        "horizons": [LeadTime(case.horizon * case.step.to_pytimedelta())],
        "sample_interval": case.step.to_pytimedelta(),
        "location": LocationConfig(
            name=case.zone,
            coordinate={"latitude": round(case.latitude, 4), "longitude": round(case.longitude, 4)},
            country_code=case.country,
        ),
        "mlflow_storage": None,
    }
    if preset == "ensemble":
        return create_ensemble_forecasting_workflow(EnsembleForecastingWorkflowConfig(**stated))
    return create_forecasting_workflow(ForecastingWorkflowConfig(model=preset, **stated))


def dataset(rows: pd.DataFrame, case: Case) -> TimeSeriesDataset:
    """Rows of the history as OpenSTEF names them, on the local clock."""
    rows = rows.rename(columns=NAMES).tz_convert(case.local_tz)
    beams = [name for name in ("direct_radiation", "diffuse_radiation") if name in rows]
    if beams:
        rows = rows.assign(radiation=rows[beams].sum(axis=1, skipna=False)).drop(columns=beams)
    return TimeSeriesDataset(rows.rename_axis("timestamp"), sample_interval=case.step.to_pytimedelta())


def forecast(case: Case, origin: Origin, model: CustomForecastingWorkflow) -> pd.DataFrame:
    """The quantiles of one origin."""
    rows = case.seen(origin).loc[origin.start - CONTEXT :]
    made = model.predict(dataset(rows, case), forecast_start=(origin.known_until + case.step).to_pydatetime())
    return made.quantiles_data.set_axis(case.quantiles, axis=1).tz_convert("UTC")


def main(folder: Path, preset: str) -> None:
    case, run = read(folder), Run()
    for block in case.blocks():
        with run.fitting():
            rows = case.learned(block[0])
            model = workflow(case, preset)
            model.fit(dataset(rows.loc[rows.index[-1] - TRAINING :], case))
        for origin in block:
            with run.predicting():
                fan = forecast(case, origin, model)
            run.add(origin, fan)
    run.write(folder)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    main(Path(sys.argv[1]), sys.argv[2])
