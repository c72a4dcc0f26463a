"""What is stored of a zone as one HTML page: verdicts, gaps, quarantine, rhythm, revisions, delay, statistics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from html import escape

import polars as pl

from gridcast.contracts import DOUBTFUL, LOAD
from gridcast.market.zones import BiddingZone
from gridcast.quality import VERDICTS, Judgement, Statistics, Verdict, statistics
from gridcast.report import datafigures, markup
from gridcast.report.drawing import thousands

LONGEST = 200
"""Rows of a list; what is over is counted."""
_NONE = "\N{EN DASH}"


def render_data(
    *,
    zone: BiddingZone,
    observations: pl.DataFrame,
    judgement: Judgement,
    title: str,
    labels: Sequence[str] = (),
    variable: str = LOAD,
    quarantined: pl.DataFrame | None = None,
    facts: Mapping[str, str] | None = None,
) -> str:
    """The page.

    Args:
        zone: whose data.
        observations: an Observations table, all vintages.
        judgement: the verdicts on it.
        title: the page's heading.
        labels: words that every reader must see, such as ``synthetic``.
        variable: which of the variables; power in MW.
        quarantined: what was set aside earlier and is no more among the observations (schema `DOUBTFUL`).
        facts: what else was known, name to value.

    Raises:
        TooLittleHistory: the zone has no such observations.
    """
    known = statistics(observations, zone=zone, variable=variable)
    aside = judgement.doubtful if quarantined is None else pl.concat([judgement.doubtful, quarantined])
    aside = aside.filter((pl.col("zone") == zone.code) & (pl.col("variable") == variable))
    aside = aside.select(list(DOUBTFUL)).unique(maintain_order=True).sort("valid_time", "published_at")
    load = _sound(observations, aside=aside, zone=zone, variable=variable)
    days = judgement.days
    parts = [("overview", "At a glance", _overview(known, days, aside=aside, zone=zone))]
    if days.height:
        parts.append(("verdicts", "Verdict by day", _verdicts(days)))
    if load.height:
        parts.append(("load", "Load over time", _over_time(load, aside, zone=zone)))
        parts.append(("rhythm", "Rhythm", _rhythm(load, zone=zone, known=known)))
    parts += [
        ("missing", "Missing intervals", _missing(known)),
        ("revisions", "Revisions", _revisions(known)),
        ("lag", "Publication lag", _lag(known)),
        ("statistics", "Statistics", _statistics(known)),
        (
            "known",
            "What was known",
            markup.facts({**(facts or {}), "Variable": variable, "Versions": markup.versions()}),
        ),
    ]
    return markup.document(zone=zone, title=title, labels=labels, parts=parts)


def _sound(frame: pl.DataFrame, *, aside: pl.DataFrame, zone: BiddingZone, variable: str) -> pl.DataFrame:
    """The latest vintage of each interval that was not set aside: ``valid_time`` and ``value``."""
    rows = frame.filter((pl.col("zone") == zone.code) & (pl.col("variable") == variable) & pl.col("value").is_finite())
    rows = rows.join(aside, on=["valid_time", "published_at", "source"], how="anti")
    latest = rows.sort("valid_time", "published_at", "fetched_at").unique(
        "valid_time", keep="last", maintain_order=True
    )
    return latest.select("valid_time", "value")


def _overview(known: Statistics, days: pl.DataFrame, *, aside: pl.DataFrame, zone: BiddingZone) -> str:
    complete = days.filter(pl.col("verdict") == Verdict.COMPLETE).height
    minutes = ", ".join(str(each) for each in known.resolutions)
    tiles = {
        "Complete days": (f"{complete:,} of {days.height:,}", "judged by local day"),
        "Intervals": (f"{known.count:,}", f"of {minutes} min"),
        "Missing": (f"{known.missing:,}", _counted(known.gaps.height, "gap")),
        "Set aside": (f"{aside.height:,}", "nothing is repaired"),
    }
    sources = ", ".join(
        f"{name} ({100 * share:.1f} %)" for name, share in known.sources.select("source", "share").iter_rows()
    )
    period = f"{_clock(known.first)} to {_clock(known.last)} (starts of the first and the last interval)"
    return markup.tiles(tiles) + markup.facts(
        {"Zone": f"{zone.code}, {zone.name}", "Period": period, "Sources": sources}
    )


def _verdicts(days: pl.DataFrame) -> str:
    counts = {str(verdict): days.filter(pl.col("verdict") == verdict).height for verdict in VERDICTS}
    chart = markup.figure(
        lambda width: datafigures.calendar(days, width=width),
        key="calendar",
        title="Verdict on each local day",
        description=", ".join(f"{name} {count:,}" for name, count in counts.items() if count) + ".",
        caption="A day has the colour of the worst that is the matter with it.",
    )
    table = _table(
        "Verdict",
        [(name, f"{count:,}", f"{100 * count / days.height:.2f} %") for name, count in counts.items()],
        columns=("Days", "Share"),
        caption="Days by verdict",
    )
    rest = days.filter(pl.col("verdict") != Verdict.COMPLETE)
    rows = [(str(day), verdict, detail) for day, verdict, detail in rest.select("day", "verdict", "detail").iter_rows()]
    listed = _listed("Day", rows, columns=("Verdict", "What (UTC)"), caption="Days that are not complete", kind="prose")
    return f"{chart}{table}{listed}"


def _over_time(load: pl.DataFrame, aside: pl.DataFrame, *, zone: BiddingZone) -> str:
    chart = markup.figure(
        lambda width: datafigures.over_time(load, aside, zone=zone, width=width),
        key="time",
        title="Load over time",
        description=f"Daily mean, lowest and highest load in MW; {aside.height:,} values set aside are marked.",
        caption="What was set aside counts in no other figure.",
    )
    rows = [
        (_clock(when), _number(value), source, reason)
        for when, value, source, reason in aside.select("valid_time", "value", "source", "reason").iter_rows()
    ]
    listed = _listed(
        "Interval (UTC)", rows, columns=("MW", "Source", "Why"), caption="Values that were set aside", kind="prose"
    )
    return chart + listed


def _rhythm(load: pl.DataFrame, *, zone: BiddingZone, known: Statistics) -> str:
    by_month = markup.figure(
        lambda width: datafigures.monthly(load, zone=zone, width=width),
        key="month",
        title="Load by month of the year",
        description="Mean and 90 % of the values of each month, in MW.",
    )
    by_hour = markup.figure(
        lambda width: datafigures.weekly(load, zone=zone, width=width),
        key="week",
        title="Load by hour of the local week",
        description="Mean and 80 % of the values of each hour of the week, in MW.",
    )
    weekdays = _table(
        "Weekday",
        [
            (name, f"{factor:.3f}" if math.isfinite(factor) else _NONE)
            for name, factor in zip(datafigures.WEEKDAYS, known.weekdays, strict=True)
        ],
        columns=("Mean of the weekday / mean of all days",),
        caption="Weekday factors",
    )
    return f"<h3>By month</h3>{by_month}<h3>By hour of the week</h3>{by_hour}{weekdays}"


def _missing(known: Statistics) -> str:
    if not known.missing:
        return "<p>No interval is missing between the first and the last.</p>"
    rows = [
        (_clock(start), _clock(end), f"{intervals:,}")
        for start, end, intervals in known.gaps.select("start", "end", "intervals").iter_rows()
    ]
    words = f"{_counted(known.missing, 'interval')} missing in {_counted(known.gaps.height, 'gap')}."
    return f"<p>{words}</p>" + _listed(
        "From (UTC)", rows, columns=("Until (UTC, exclusive)", "Intervals"), caption="Gaps", kind="figures"
    )


def _revisions(known: Statistics) -> str:
    changes = known.revisions
    percent = datafigures.relative(changes)
    if not len(percent):
        return "<p>No value was changed by a later vintage.</p>"
    size = (changes["after"] - changes["before"]).abs()
    chart = markup.figure(
        lambda width: datafigures.revisions(changes, width=width),
        key="revised",
        title="Size of the revisions",
        description=f"Histogram of {changes.height:,} changes, in per cent of the value before.",
        caption="The outermost bars hold what lies further out.",
    )
    rows = [
        ("Changes", f"{changes.height:,}"),
        ("Intervals changed", f"{changes['valid_time'].n_unique():,}"),
        ("Mean size, MW", _number(_float(size.mean()))),
        ("Largest, MW", _number(_float(size.max()))),
        ("Median time after the vintage before, h", f"{_float(changes['hours'].median()):,.1f}"),
    ]
    return chart + _table("Revisions", rows, columns=("Value",), caption="A change is a later vintage of one source")


def _lag(known: Statistics) -> str:
    rows = [
        (f"{source} ({basis})", f"{count:,}", f"{low:,.2f}", f"{middle:,.2f}", f"{high:,.2f}")
        for source, basis, count, low, middle, high in known.lags.select(
            "source", "basis", "count", "q05", "median", "q95"
        ).iter_rows()
    ]
    note = (
        '<p class="note">Hours from the end of an interval to the first publication of its value. '
        "Reported: the provider says so; observed: when we saw it; assumed: a rule, not a record.</p>"
    )
    columns = ("Intervals", "5 % within, h", "Median, h", "95 % within, h")
    return note + _table("Source (basis)", rows, columns=columns, caption="Publication lag by source and basis")


def _statistics(known: Statistics) -> str:
    rows = [
        ("Mean, MW", _number(known.mean)),
        ("Standard deviation, MW", _number(known.std)),
        ("Lowest, MW", _number(known.min)),
        *((f"{100 * level:g} % quantile, MW", _number(value)) for level, value in known.quantiles.items()),
        ("Highest, MW", _number(known.max)),
        *(
            (f"Autocorrelation at {lag} h by the local clock", f"{value:.3f}" if math.isfinite(value) else _NONE)
            for lag, value in known.autocorrelation.items()
        ),
    ]
    years = [
        (str(year), f"{count:,}", *(_number(value) for value in values))
        for year, count, *values in known.by_year.iter_rows()
    ]
    note = '<p class="note">Of the data as given, what was set aside included where it is still among them.</p>'
    return (
        note
        + _table("Statistic", rows, columns=("Value",), caption="All years")
        + _table(
            "Year",
            years,
            columns=("Intervals", "Mean", "Standard deviation", "Lowest", "Highest"),
            caption="By local year, MW",
        )
    )


def _table(
    corner: str,
    rows: Sequence[tuple[str, ...]],
    *,
    columns: Sequence[str],
    caption: str,
    kind: str = "figures",
) -> str:
    cells = [(escape(heading), [(escape(each), False) for each in rest]) for heading, *rest in rows]
    return markup.table(corner, cells, models=columns, caption=caption, kind=kind)


def _listed(corner: str, rows: Sequence[tuple[str, ...]], *, columns: Sequence[str], caption: str, kind: str) -> str:
    """A table to be opened, cut where it is too long."""
    if not rows:
        return ""
    over = len(rows) - LONGEST
    more = f'<p class="note">And {over:,} more.</p>' if over > 0 else ""
    table = _table(corner, rows[:LONGEST], columns=columns, caption=caption, kind=kind)
    return f"<details><summary>{escape(caption)} ({len(rows):,})</summary>{table}{more}</details>"


def _clock(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M}Z" if when.second == 0 else f"{when:%Y-%m-%d %H:%M:%S}Z"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    return thousands(value) if abs(value) >= 1000 else f"{value:,.4g}"


def _float(value: object) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return float(value) if isinstance(value, int | float) else math.nan


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
