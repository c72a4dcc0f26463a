"""The verbs: fetch, ingest, train, issue, replay. Here the rooms meet."""

from gridcast.backtesting import run as replay
from gridcast.pipeline.forecasting import (
    Peak,
    Trained,
    forecast_table,
    issue,
    peak,
    recent_load,
    train,
    window_to_issue,
)
from gridcast.pipeline.operations import (
    DEMO,
    Account,
    Issued,
    Registered,
    champion_recipe,
    fetch,
    ingest,
    issue_and_store,
    plan,
    read_file,
    read_store,
    recipes,
    train_and_register,
)

__all__ = [
    "DEMO",
    "Account",
    "Issued",
    "Peak",
    "Registered",
    "Trained",
    "champion_recipe",
    "fetch",
    "forecast_table",
    "ingest",
    "issue",
    "issue_and_store",
    "peak",
    "plan",
    "read_file",
    "read_store",
    "recent_load",
    "recipes",
    "replay",
    "train",
    "train_and_register",
    "window_to_issue",
]
