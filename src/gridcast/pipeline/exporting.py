"""``python -m gridcast.pipeline.exporting``: make the classic network anew that the package carries.

It is trained on the demo's DK_1 of three years, tried on the year after, and written beside the code that runs it.
Needs the extras ``deep`` and ``api``. About a minute on one core.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from gridcast import metrics
from gridcast.contracts import LOAD
from gridcast.market.days import instant, local_day
from gridcast.market.zones import zone as find_zone
from gridcast.models import classic_onnx, conv1d_classic, deep
from gridcast.models.classic_card import CARD_FILE, MODEL_FILE, Card, Scores
from gridcast.models.classic_onnx import Classic
from gridcast.models.conv1d_classic import HOURS_IN, Conv1dClassic
from gridcast.sources import demo

ZONE = "DK_1"
BEGIN, TRIED, END = date(2015, 1, 1), date(2018, 1, 1), date(2019, 1, 1)
"""It learns from ``BEGIN`` to ``TRIED``, and is tried from there to ``END`` (exclusive, local)."""
_STRIDE = 5
"""Hours from one window to the next: it and 24 have no common divisor, so each hour of the day has its turn."""
_WEEK = 168


def export(*, recipe: Conv1dClassic, seed: int, begin: date = BEGIN) -> tuple[bytes, Card]:
    """Train on the demo data, try, and give the ONNX file and its card.

    Raises:
        MissingExtra: torch is not installed.
    """
    with deep.needed_by(recipe.name):
        from gridcast.models import exporting
    zone = find_zone(ZONE)
    rows = demo.observations(zone, start=begin, end=END, fetched_at=datetime(2019, 1, 1, tzinfo=UTC))
    hourly = rows.filter(pl.col("variable") == LOAD).sort("valid_time")
    load, source = hourly["value"].to_numpy(), hourly["source"][0]
    start = instant(hourly["valid_time"][0])
    raw, target, at = conv1d_classic.hourly_windows(load, start=start, zone=zone, stride=_STRIDE)
    tried = local_day(at, zone.local_tz) >= np.datetime64(TRIED)
    learned = local_day(at, zone.local_tz) < np.datetime64(TRIED - timedelta(days=1))
    network = recipe.learn(
        raw[learned],
        target[learned],
        checked=conv1d_classic.latest(int(learned.sum())),
        seed=seed,
    )
    forecast, actual = network.megawatts(raw[tried]), target[tried]
    ago = (at[tried] - start) // np.timedelta64(1, "h") - _WEEK
    naive = load[ago[:, None] + np.arange(actual.shape[1])]
    model = exporting.to_onnx(network)
    card = exporting.card(
        network,
        model,
        zone=zone,
        data=source,
        period=(begin, TRIED - timedelta(days=1)),
        load_range=(raw[learned][:, :, 0].min(), raw[learned][:, :, 0].max()),
        seed=seed,
        scores=Scores(
            first_day=TRIED,
            last_day=END - timedelta(days=1),
            windows=len(actual),
            mae_mw=round(metrics.mae(actual.ravel(), forecast.ravel()), 1),
            mape_pct=round(metrics.mape(actual.ravel(), forecast.ravel()), 2),
            naive_mae_mw=round(metrics.mae(actual.ravel(), naive.ravel()), 1),
        ),
        canary=raw[tried][0],
    )
    return model, card


def to_json(card: Card) -> bytes:
    """The card's file: a list of numbers, such as a row of the canary's window, stands on one line."""
    text = re.sub(r"\[[-\d.,\s]+\]", lambda row: " ".join(row[0].split()), card.model_dump_json(indent=1))
    return (text + "\n").encode()


def main(arguments: list[str] | None = None) -> None:
    """Export, load what came out as a server would, write it, and say what it is."""
    parser = argparse.ArgumentParser(prog="python -m gridcast.pipeline.exporting", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(classic_onnx.__file__).parent, help="folder of the two files")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    model, card = export(recipe=Conv1dClassic(), seed=chosen.seed)
    text = to_json(card)
    Classic.of(model, text)
    (chosen.out / MODEL_FILE).write_bytes(model)
    (chosen.out / CARD_FILE).write_bytes(text)
    scores = card.scores
    sys.stdout.write(
        f"{card.version}: {len(model)} bytes, {HOURS_IN} hours in; {scores.first_day} to {scores.last_day}: "
        f"MAE {scores.mae_mw} MW, naive {scores.naive_mae_mw} MW\n"
    )


if __name__ == "__main__":
    main()
