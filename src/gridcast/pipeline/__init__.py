"""The verbs: fetch, ingest, train, issue, replay. Here the rooms meet."""

from gridcast.backtesting import run as replay
from gridcast.pipeline.coherence import issue_with_members
from gridcast.pipeline.doctor import Finding, State, examine
from gridcast.pipeline.explaining import Explained, explain, explained
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
from gridcast.pipeline.ingesting import Account, Missing, ingest, ingest_live, read_again, window
from gridcast.pipeline.operations import (
    DEMO,
    Issued,
    Registered,
    champion_recipe,
    issue_and_store,
    plan,
    recipes,
    train_and_register,
    train_on,
)
from gridcast.pipeline.providers import LIVE, provider, providers, source_order
from gridcast.pipeline.reading import fetch, read_file, read_store
from gridcast.pipeline.replaying import Outcome, Replayed, Replays, strayed, with_actuals
from gridcast.pipeline.reporting import data_report, edges
from gridcast.pipeline.retaining import Left, retain
from gridcast.pipeline.snapshots import Statement, read_snapshot, read_statement, write_snapshot
from gridcast.pipeline.watching import Poll, watch

__all__ = [
    "DEMO",
    "LIVE",
    "Account",
    "Explained",
    "Finding",
    "Issued",
    "Left",
    "Missing",
    "Outcome",
    "Peak",
    "Poll",
    "Registered",
    "Replayed",
    "Replays",
    "State",
    "Statement",
    "Trained",
    "champion_recipe",
    "data_report",
    "edges",
    "examine",
    "explain",
    "explained",
    "fetch",
    "forecast_table",
    "ingest",
    "ingest_live",
    "issue",
    "issue_and_store",
    "issue_with_members",
    "peak",
    "plan",
    "provider",
    "providers",
    "read_again",
    "read_file",
    "read_snapshot",
    "read_statement",
    "read_store",
    "recent_load",
    "recipes",
    "replay",
    "retain",
    "source_order",
    "strayed",
    "train",
    "train_and_register",
    "train_on",
    "watch",
    "window",
    "window_to_issue",
    "with_actuals",
    "write_snapshot",
]
