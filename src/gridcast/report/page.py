"""The report as one HTML page: no script, no other host, light or dark as the reader has it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from html import escape

import numpy as np
import polars as pl

from gridcast.backtesting import Backtest
from gridcast.contracts import QUANTILES
from gridcast.market.zones import BiddingZone
from gridcast.report import figures, markup, scoretable
from gridcast.report.breakdown import DAY_KINDS, days_by_kind, mae_by_day_kind, mae_by_hour, reliability, scored
from gridcast.report.drawing import HALF, WIDE, thousands
from gridcast.report.fan import Fan, draw
from gridcast.report.markup import Cell

MOST_PAIRED = 4
"""Models in a table that still fits beside its figure."""
UNEXPLAINED = "as the data say"
_WEATHER = {
    "none": "no weather among the inputs",
    "forecast": "only weather forecasts that were public at the issue time",
    "observed": "measured weather, which nobody knew at the issue time: live scores will be worse",
}
_TSO = {
    "none": "the operator's forecast was no input of the models",
    "reported": "the provider says when the operator's forecast was published",
    "assumed": "the publication time of the operator's forecast is a rule, not a record",
    "observed": "the operator's forecast counts as published when it was fetched",
    "last-version": "the last version of the operator's forecast, perhaps later than the issue time",
}


def render(
    *,
    zone: BiddingZone,
    forecast: pl.DataFrame | None,
    history: pl.DataFrame | None,
    result: Backtest | None,
    title: str,
    labels: Sequence[str],
    facts: Mapping[str, str] | None = None,
) -> str:
    """The page; a part whose input is None is left out.

    Args:
        zone: whose load it is.
        forecast: a Forecast table of one issue.
        history: actual load before it, ``valid_time`` (UTC) and ``value`` (MW).
        result: a backtest.
        title: the page's heading.
        labels: words that every reader must see, such as ``synthetic``.
        facts: what else was known, name to value: data source, SHA-256 of the data and the like.

    Raises:
        DataError: the forecast is not one valid issue of this zone.
    """
    fan = None if forecast is None else Fan.of(forecast, zone=zone)
    parts: list[tuple[str, str, str]] = []
    if fan is not None:
        parts.append(("forecast", "The forecast", _forecast(fan, history=history, labels=labels)))
    if result is not None:
        parts.append(("scores", "Scores", _scores(result)))
        if any(scored(result, name).any() for name in result.replays):
            parts.append(("errors", "Where the errors lie", _errors(result)))
            parts.append(("reliability", "Reliability of the bands", _reliability(result)))
    known = _known(fan, result, facts=facts or {})
    if known:
        parts.append(("known", "What was known", markup.facts(known)))
    return markup.document(zone=zone, title=title, labels=labels, parts=parts)


def _forecast(fan: Fan, *, history: pl.DataFrame | None, labels: Sequence[str]) -> str:
    median, low, high = fan.median, fan.quantile(0.1), fan.quantile(0.9)
    top, bottom = int(np.argmax(median)), int(np.argmin(median))
    issued = fan.local(fan.issue_time)

    def extreme(row: int) -> tuple[str, str]:
        return f"{thousands(median[row])} MW", f"{fan.span(row)}\n80 %: {_band(low[row], high[row])}"

    tiles = {
        "Peak": extreme(top),
        "Lowest": extreme(bottom),
        "Mean of the medians": (f"{thousands(float(median.mean()))} MW", f"{len(median)} intervals"),
        "Issued": (f"{issued:%H:%M}", f"{issued:%a} {issued.day} {issued:%b} {issued:%Z}"),
    }
    warnings = "".join(f'<p class="warning">Degraded: {escape(reason)}</p>' for reason in fan.degraded)
    chart = markup.figure(
        lambda width: draw(fan, history=history, width=width, labels=labels),
        key="fan",
        title=f"Load forecast of {fan.zone.code} for {fan.window}",
        description=f"Median with bands of 50, 80 and 95 %, in MW. Peak of the median {fan.peak}, "
        f"lowest {thousands(median[bottom])} MW at {fan.span(bottom)}.",
        caption="Shaded: the intervals forecast. An interval's mean is drawn at its middle.",
    )
    rows = [
        f'<tr{" class=peak" if row == top else ""}><th scope="row">{escape(fan.clock[row])}</th>'
        f"<td>{thousands(median[row])}</td><td>{_band(low[row], high[row])}</td></tr>"
        for row in range(len(median))
    ]
    length = math.ceil(len(rows) / 3)
    head = '<thead><tr><th scope="col">Start</th><th scope="col">Median</th><th scope="col">80 % band</th></tr></thead>'
    tables = "".join(
        f"<table><caption>MW, local time</caption>{head}<tbody>{''.join(rows[first : first + length])}</tbody></table>"
        for first in range(0, len(rows), length)
    )
    return (
        f"<p>{escape(fan.window)}</p>{warnings}{markup.tiles(tiles)}{chart}"
        f'<h3>Every interval</h3><div class="columns">{tables}</div>'
    )


def _scores(result: Backtest) -> str:
    scores = result.scores()
    keys = list(dict.fromkeys(key for each in scores.values() for key in each))
    rows = {}
    for key in keys:
        values = {model: each.get(key) for model, each in scores.items()}
        winners = scoretable.best(key, values)
        heading = f"{escape(scoretable.measure(key).name)}<code>{escape(key)}</code>"
        rows[heading] = [(scoretable.written(key, value), model in winners) for model, value in values.items()]
    first, last = result.plan.first, result.plan.last - timedelta(days=1)
    issues = len(np.unique(result.origin))
    uneven = len({each.get("n") for each in scores.values()}) > 1
    notes = [
        f"Delivery days {first} to {last}, {issues:,} origins, refitted every month. {_left_out(result)}",
        f"weather_basis {result.weather_basis}: {_WEATHER.get(result.weather_basis, UNEXPLAINED)}.",
        f"tso_basis {result.tso_basis}: {_operator(result)}.",
        "The best value of a row is bold; coverage is best near its nominal 80 or 95 %, bias near 0.",
    ]
    if uneven:
        notes.append("The models were not scored on the same number of intervals: compare with care.")
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes) + markup.table(
        "Score", rows.items(), models=list(scores), caption="Every model on the same replayed days", kind="scores"
    )


def _left_out(result: Backtest) -> str:
    count = result.n_excluded
    if count == 0:
        return "No interval is left out (n_excluded 0)."
    intervals = "1 interval is" if count == 1 else f"{count:,} intervals are"
    return f"{intervals} left out for every model, the actual missing or implausible (n_excluded {count})."


def _operator(result: Backtest) -> str:
    basis = _TSO.get(result.tso_basis, UNEXPLAINED)
    if not np.isfinite(result.tso).any():
        return "the data have no forecast of the operator"
    if result.tso_basis == "none":
        return f"{basis}; skill_vs_tso is against the last version in the data, perhaps later than the issue time"
    return basis


def _errors(result: Backtest) -> str:
    models = list(result.replays)
    paired = len(models) <= MOST_PAIRED
    by_hour = {name: mae_by_hour(result, name) for name in models}
    by_kind = {name: mae_by_day_kind(result, name) for name in models}
    worst = {name: int(np.nanargmax(errors)) for name, errors in by_hour.items() if np.isfinite(errors).any()}
    hour_figure = markup.figure(
        lambda width: figures.error_by_hour(result, width=width),
        key="hour",
        title="Mean absolute error by hour of the local clock",
        description="Largest error of each model: "
        + ", ".join(f"{name} {by_hour[name][hour]:,.1f} MW at {hour:02d}:00" for name, hour in worst.items())
        + ".",
    )
    hour_table = markup.table(
        "Hour",
        {f"{hour:02d}:00": _row(by_hour[name][hour] for name in models) for hour in range(24)}.items(),
        models=models,
        caption="Mean absolute error by hour, MW",
        kind="figures",
    )
    kind_figure = markup.figure(
        lambda width: figures.error_by_day_kind(result, width=HALF if width == WIDE and paired else width),
        key="kind",
        title="Mean absolute error by type of day",
        description=". ".join(
            f"{name}: {figures.in_words(errors, names=DAY_KINDS, unit=' MW')}" for name, errors in by_kind.items()
        ),
    )
    kind_table = markup.table(
        "Type of day (number)",
        {
            f"{kind} ({days:,})": _row(by_kind[name][row] for name in models)
            for row, (kind, days) in enumerate(zip(DAY_KINDS, days_by_kind(result), strict=True))
        }.items(),
        models=models,
        caption="Mean absolute error by type of day, MW",
        kind="figures",
    )
    return (
        f"<h3>By hour of the day</h3>{hour_figure}<details><summary>The numbers by hour</summary>{hour_table}</details>"
        f"<h3>By type of day</h3><div{' class=beside' if paired else ''}>{kind_figure}{kind_table}</div>"
    )


def _reliability(result: Backtest) -> str:
    models = list(result.replays)
    observed = {name: 100 * reliability(result, name) for name in models}
    levels = [f"{100 * level:g} %" for level in QUANTILES]
    chart = markup.figure(
        lambda width: figures.reliability_plot(result, width=width),
        key="reliability-plot",
        title="Reliability: how often the actual was at or below each quantile",
        description="Observed frequency at each nominal quantile. "
        + ". ".join(f"{name}: {figures.in_words(each, names=levels, unit=' %')}" for name, each in observed.items()),
        caption="On the dashed line a quantile keeps its promise; above it, it was too high, below it, too low.",
    )
    table = markup.table(
        "Quantile",
        {level: _row(observed[name][row] for name in models) for row, level in enumerate(levels)}.items(),
        models=models,
        caption="Actuals at or below the quantile, %",
        kind="figures",
    )
    return f"{chart}<details><summary>The numbers by quantile</summary>{table}</details>"


def _known(fan: Fan | None, result: Backtest | None, *, facts: Mapping[str, str]) -> dict[str, str]:
    """What stands behind the page; empty where there is nothing to stand behind."""
    known = dict(facts)
    if fan is not None:
        known |= {
            "Issue time": f"{np.datetime_as_string(fan.issue_time, unit='m')}Z",
            "Model version": ", ".join(fan.model_versions),
            "Resolution of the forecast": _minutes(fan.resolution),
        }
    if result is not None:
        plan = result.plan
        known |= {
            "Task": plan.task.value,
            "Inputs asked for": ", ".join(plan.inputs),
            "Replayed": f"{plan.first} to {plan.last - timedelta(days=1)}",
            "Resolution of the replay": _minutes(result.resolution),
            "Seed": str(plan.seed),
            "weather_basis": result.weather_basis,
            "tso_basis": result.tso_basis,
        }
    if known:
        known["Versions"] = markup.versions()
    return known


def _minutes(resolution: np.timedelta64) -> str:
    return f"{int(resolution / np.timedelta64(1, 'm'))} min"


def _band(low: float, high: float) -> str:
    return f"{thousands(low)}\N{EN DASH}{thousands(high)}"


def _row(values: Iterable[float]) -> list[Cell]:
    return [(f"{value:,.1f}" if math.isfinite(value) else scoretable.NONE, False) for value in values]
