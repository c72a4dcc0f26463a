"""One verdict a zone and local day, and the rows to set aside. Nothing is repaired."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from gridcast.contracts import DOUBTFUL, LOAD, OBSERVATIONS, UTC_TIME
from gridcast.errors import ConfigError
from gridcast.market.days import from_local_wall, instant
from gridcast.market.zones import BiddingZone
from gridcast.quality.clock import shifted
from gridcast.quality.flat import flat, repeated
from gridcast.quality.grid import Flags, Grid, grid
from gridcast.quality.level import cleaned, foreign, impossible, off_level
from gridcast.quality.spikes import spikes
from gridcast.quality.usual import usual
from gridcast.quality.verdicts import DAYS, VERDICTS, Fault, Judgement, Places, Verdict

MEMORY = timedelta(days=400)
"""Earlier data than this say nothing about a period."""

_SHOWN = 3
"""Stretches that a day's detail names."""


def judge(
    observations: pl.DataFrame,
    *,
    zone: BiddingZone,
    variable: str = LOAD,
    start: date,
    end: date,
    history: pl.DataFrame | None = None,
    now: datetime | None = None,
) -> Judgement:
    """The verdicts on the local days from ``start`` to ``end`` (exclusive).

    What is usual is learned from the zone's own rows, those of ``history`` and those after a day among them. Three
    weeks are enough for most faults; with less, fewer are found, and none invented. Of several vintages of an interval
    the latest is judged, and only rows with its value are doubtful.

    Args:
        observations: an Observations table; rows of other zones and variables are passed over, values need not be
            finite.
        zone: whose data, and whose local days.
        variable: what to judge; positive power.
        start: first local day.
        end: the day after the last.
        history: earlier Observations, as context only.
        now: intervals that end later are not due yet (UTC).

    Returns:
        ``days``: one row a local day with anything due. ``doubtful``: rows of ``observations`` in the period.

    Raises:
        ConfigError: the period is empty.
    """
    if end <= start:
        raise ConfigError(f"no day from {start} to {end} can be judged", remedy="let the end be after the start")
    mine = _rows(observations, zone=zone, variable=variable)
    context = mine if history is None else pl.concat([_rows(history, zone=zone, variable=variable), mine])
    latest = _latest(context, zone=zone, since=start - MEMORY)
    begin, stop = (_midnight(day, zone) for day in (start, end))
    inside = latest.filter(pl.col("valid_time").is_between(begin, stop, closed="left"))
    due_until = None if now is None else instant(now)
    days, doubtful = [], []
    for step, table in _by_resolution(latest, zone=zone, start=start, end=end):
        whole = _span(latest, zone=zone, start=start, end=end)
        laid = grid(latest, zone=zone, step=step, first=whole[0], last=whole[1])
        asked = np.isin(laid.days, np.array(table, "datetime64[D]"))
        faults = _faults(laid)
        days.append(_verdicts(laid, faults, asked=asked, variable=variable, due_until=due_until))
        doubtful.append(_doubtful(mine, latest=inside, laid=laid, faults=faults, asked=asked))
    return Judgement(pl.concat(days).sort("day"), pl.concat(doubtful).sort("valid_time", "published_at", "source"))


def _rows(frame: pl.DataFrame, *, zone: BiddingZone, variable: str) -> pl.DataFrame:
    return frame.filter((pl.col("zone") == zone.code) & (pl.col("variable") == variable)).select(list(OBSERVATIONS))


def _midnight(day: date, zone: BiddingZone) -> datetime:
    wall = np.array([np.datetime64(day, "us")])
    moment: datetime = from_local_wall(wall, zone.local_tz)[0].astype(object)
    return moment.replace(tzinfo=UTC)


def _latest(frame: pl.DataFrame, *, zone: BiddingZone, since: date) -> pl.DataFrame:
    recent = frame.filter(pl.col("valid_time") >= _midnight(since, zone))
    return (
        recent.sort("valid_time", "published_at", "fetched_at", "source")
        .unique(["valid_time", "resolution"], keep="last", maintain_order=True)
        .select("valid_time", "resolution", "value")
    )


def _span(latest: pl.DataFrame, *, zone: BiddingZone, start: date, end: date) -> tuple[date, date]:
    """The local days that rows and period cover."""
    if latest.is_empty():
        return start, end
    days = latest["valid_time"].dt.convert_time_zone(zone.local_tz).dt.date()
    return min(start, days[0]), max(end, days[-1] + timedelta(days=1))


def _by_resolution(
    everything: pl.DataFrame, *, zone: BiddingZone, start: date, end: date
) -> list[tuple[np.timedelta64, list[date]]]:
    """The days of the period by the resolution that most of each day has; of the nearest day before where it is empty.

    Where nothing comes before, what comes first; an hour where there is nothing at all.
    """
    day = pl.col("valid_time").dt.convert_time_zone(zone.local_tz).dt.date()
    share = (
        everything.group_by(day.alias("day"), "resolution")
        .agg(covered=pl.col("resolution").sum())
        .sort("day", "covered", "resolution", descending=[False, True, False])
        .unique("day", keep="first", maintain_order=True)
        .select("day", "resolution")
    )
    days = pl.DataFrame({"day": pl.date_range(start, end, closed="left", eager=True)})
    found = days.join_asof(share.sort("day"), on="day").with_columns(
        pl.col("resolution").fill_null(strategy="backward")
    )
    if found["resolution"].null_count():
        first = share["resolution"].first() if share.height else timedelta(hours=1)
        found = found.with_columns(pl.col("resolution").fill_null(first))
    return [
        (np.timedelta64(resolution, "us"), part["day"].to_list())
        for (resolution,), part in found.group_by("resolution", maintain_order=True)
    ]


def _faults(laid: Grid) -> list[Fault]:
    """Everything that is the matter, the coarse first: what is found is left out of what follows."""
    found = impossible(laid)
    value = np.where(laid.present & (laid.value > 0) & np.isfinite(laid.value), laid.value, np.nan)
    if not np.isfinite(value).any():
        return found
    logs = np.log(value)
    found += off_level(logs, grid=laid) + flat(laid) + repeated(laid)
    logs = cleaned(logs, faults=found)
    kinds = usual(laid.table(logs), laid)
    found += foreign(logs, grid=laid, kinds=kinds)
    found += spikes(logs, grid=laid, kinds=kinds)
    return found + shifted(laid.table(cleaned(logs, faults=found)), grid=laid, kinds=kinds)


def _verdicts(
    laid: Grid, faults: Sequence[Fault], *, asked: Flags, variable: str, due_until: np.datetime64 | None
) -> pl.DataFrame:
    due = np.ones(len(laid.time), np.bool_) if due_until is None else laid.time + laid.step <= due_until
    expected = np.bincount(laid.day[due | laid.present], minlength=len(laid.days))
    received = np.bincount(laid.day[laid.present], minlength=len(laid.days))
    said: dict[int, list[tuple[Verdict, str]]] = {}
    for fault in faults:
        for number in np.unique(laid.day[fault.at]):
            at = fault.at[laid.day[fault.at] == number]
            said.setdefault(int(number), []).append((fault.verdict, f"{fault.reason} ({_when(laid, at)})"))
    rows = []
    for number in np.flatnonzero(asked & (expected > 0)):
        reasons = list(said.get(int(number), []))
        if received[number] == 0:
            reasons.append((Verdict.EMPTY, f"empty: none of {expected[number]} intervals"))
        elif received[number] < expected[number]:
            gap = np.flatnonzero((laid.day == number) & due & ~laid.present)
            words = f"partial: {len(gap)} of {expected[number]} missing ({_when(laid, gap)})"
            reasons.append((Verdict.PARTIAL, words))
        reasons.sort(key=lambda each: VERDICTS.index(each[0]))
        verdicts = list(dict.fromkeys(str(verdict) for verdict, _ in reasons)) or [str(Verdict.COMPLETE)]
        detail = "; ".join(words for _, words in reasons[:_SHOWN])
        if len(reasons) > _SHOWN:
            detail += f"; and {len(reasons) - _SHOWN} more"
        day = laid.days[number].astype(object)
        counts = (int(expected[number]), int(received[number]))
        rows.append((laid.zone.code, variable, day, *counts, verdicts[0], verdicts, detail))
    return pl.DataFrame(rows, schema=DAYS, orient="row")


def _when(laid: Grid, at: Places) -> str:
    """Instants as text: the first stretches of them."""
    apart = np.flatnonzero(np.diff(at) > 1) + 1
    stretches = np.split(at, apart)
    shown = []
    for each in stretches[:_SHOWN]:
        first = np.datetime_as_string(laid.time[each[0]], unit="m").replace("T", " ")
        until = np.datetime_as_string(laid.time[each[-1]] + laid.step, unit="m")[11:]
        shown.append(f"{first}Z" if len(each) == 1 else f"{first}Z to {until}Z")
    more = f" and {len(stretches) - _SHOWN} more" if len(stretches) > _SHOWN else ""
    return ", ".join(shown) + more


def _doubtful(
    mine: pl.DataFrame, *, latest: pl.DataFrame, laid: Grid, faults: Sequence[Fault], asked: Flags
) -> pl.DataFrame:
    """The rows that faulty intervals come from, with every reason."""
    reasons: dict[int, list[str]] = {}
    for fault in sorted(faults, key=lambda each: VERDICTS.index(each.verdict)):
        for place in fault.at[asked[laid.day[fault.at]]]:
            reasons.setdefault(int(place), []).append(fault.reason)
    if not reasons:
        return DOUBTFUL.to_frame()
    places = np.array(sorted(reasons))
    marks = pl.DataFrame(
        {"from": laid.time[places], "reason": ["; ".join(dict.fromkeys(reasons[place])) for place in sorted(reasons)]},
        schema={"from": pl.Datetime("us"), "reason": pl.String()},
    ).with_columns(pl.col("from").dt.replace_time_zone("UTC").cast(UTC_TIME))
    until = marks["from"] + timedelta(microseconds=int(laid.step.astype("timedelta64[us]").astype(np.int64)))
    marks = marks.with_columns(until=until)
    ends = latest.with_columns(end=pl.col("valid_time") + pl.col("resolution"))
    judged = ends.join_where(marks, pl.col("valid_time") < pl.col("until"), pl.col("end") > pl.col("from")).unique(
        ["valid_time", "resolution"], keep="first", maintain_order=True
    )
    same = pl.col("value").eq_missing(pl.col("judged")) | (pl.col("value").is_nan() & pl.col("judged").is_nan())
    return (
        mine.join(judged.select("valid_time", "resolution", "reason", judged="value"), on=["valid_time", "resolution"])
        .filter(same)
        .select(list(DOUBTFUL))
    )
