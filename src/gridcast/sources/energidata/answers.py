"""What an answer of Energi Data Service says, and whether it may be believed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from gridcast.contracts import OBSERVATIONS, UTC_TIME, observations
from gridcast.market.zones import BiddingZone
from gridcast.sources.energidata.datasets import (
    AREAS,
    BORDERS,
    DANISH,
    EXCHANGES,
    MOST_MW,
    REALTIME,
    SLACK,
    SOURCE,
    VERSIONS,
    Dataset,
    scada_load,
)
from gridcast.sources.fetched import DOUBTFUL, Answer, Fetched
from gridcast.sources.oneline import one_line
from gridcast.sources.strictjson import bad_answer, document, number

FAR_AHEAD = timedelta(minutes=30)
"""With an interval so far in the future the whole answer is in doubt; less may be our own clock's fault."""

_STAMP = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]")


def read(answer: Answer, dataset: Dataset, *, zone: BiddingZone, span: tuple[datetime, datetime]) -> Fetched:
    """What one answer says of the intervals that start within ``span``."""
    area = AREAS[zone.code]
    records = _records(answer, dataset, area=area)
    rows = _rows(answer, records, dataset=dataset, area=area)
    notes = []
    days = pl.col("valid_time").is_between(*asked_days(answer), closed="left")
    if rows.height and rows.filter(days).is_empty():
        raise bad_answer(answer, "is about another period than was asked for", fault="period")
    if rows.height and not rows.select(days.all() & (pl.col("valid_time").min() == asked_days(answer)[0])).item():
        notes.append(f"{dataset.name} does not begin and end with the days asked for: its clock may be shifted.")
    if rows.height < len(records):
        notes.append(f"{dataset.name} had {len(records) - rows.height} rows twice, word for word.")

    rows = rows.filter(pl.col("value").is_not_null())
    ahead = rows.filter(pl.col("valid_time") + dataset.resolution > answer.fetched_at + FAR_AHEAD).height > 0
    rows = rows.filter(pl.col("valid_time").is_between(*span, closed="left"))
    known = rows.filter(pl.col("rank").is_not_null())
    best = known.sort("valid_time", "rank").unique("valid_time", keep="last", maintain_order=True)
    if known.height > best.height:
        notes.append(f"{known.height - best.height} values of {dataset.name} have a later version, which was taken.")
    if dataset.versioned and best.height:
        counts = [(best["rank"] == rank).sum() for rank in range(len(VERSIONS))]
        shares = ", ".join(f"{count} {version}" for version, count in zip(VERSIONS, counts, strict=True) if count)
        notes.append(f"Of {best.height} hours of {dataset.name} the versions are: {shares}.")

    judged = (
        pl.concat([best, rows.filter(pl.col("rank").is_null())])
        .with_columns(
            zone=pl.lit(zone.code),
            variable=pl.lit(dataset.variable),
            resolution=pl.lit(dataset.resolution, dtype=pl.Duration("us")),
            published_at=pl.col("valid_time") + dataset.resolution + dataset.lag,
            published_at_basis=pl.lit("assumed"),
            fetched_at=pl.lit(answer.fetched_at).dt.convert_time_zone("UTC").cast(UTC_TIME),
            source=pl.lit(SOURCE),
            reason=_doubt(answer, dataset, area=area, ahead=ahead),
        )
        .select(list(DOUBTFUL))
    )
    sound = pl.col("reason").is_null()
    return Fetched(
        observations(judged.filter(sound).select(list(OBSERVATIONS)), where=answer.url),
        due=_due(dataset, span, at=answer.fetched_at),
        doubtful=judged.filter(~sound).sort("valid_time"),
        answers=(answer.sha256,),
        notes=tuple(notes),
    )


def asked_days(answer: Answer) -> tuple[datetime, datetime]:
    """The whole Danish days that an answer was asked for, as UTC; the end is exclusive."""
    try:
        begin, finish = (datetime.fromisoformat(answer.params[name]) for name in ("start", "end"))
    except (KeyError, ValueError):
        raise bad_answer(answer, "was asked for no period that we know", fault="request") from None
    danish = ZoneInfo(DANISH)
    return begin.replace(tzinfo=danish).astimezone(UTC), finish.replace(tzinfo=danish).astimezone(UTC)


def _doubt(answer: Answer, dataset: Dataset, *, area: str, ahead: bool) -> pl.Expr:
    """Why a row may not be used, or null; ``ahead`` says that the answer has values from the future."""
    over = pl.col("valid_time") + dataset.resolution
    return (
        pl.when(pl.col("rank").is_null())
        .then(pl.format("its version {} is unknown", "version"))
        .when(pl.col("shifted"))
        .then(pl.lit("its UTC and its Danish time disagree"))
        .when(pl.lit(ahead))
        .then(pl.lit("its answer has values from the future: its clock may be shifted"))
        .when(over > answer.fetched_at + SLACK)
        .then(pl.lit("it was not over yet when it was fetched"))
        .when(pl.col("value") < 0)
        .then(pl.lit("a load below 0"))
        .when(pl.col("value") > MOST_MW)
        .then(pl.lit(f"a load over {MOST_MW:.0f} MW"))
        .when(pl.col("foreign"))
        .then(pl.lit(f"exchange over a border that {area} does not have"))
    )


def _records(answer: Answer, dataset: Dataset, *, area: str) -> list[dict[str, Any]]:
    """The records of an answer, each with every column, of the right type and area."""
    body = document(answer)
    if not isinstance(body, dict) or not isinstance(records := body.get("records"), list):
        raise bad_answer(answer, "has no list of records", fault="shape")
    if body.get("dataset") != dataset.name:
        raise bad_answer(answer, f"is of the data set {one_line(body.get('dataset'))}", fault="dataset")
    limit = body.get("limit")
    if limit is not None and not number(limit):
        raise bad_answer(answer, "echoes a limit that is no number", fault="shape")
    if limit and len(records) >= limit:
        raise bad_answer(answer, f"stops at a limit of {limit:.0f} rows that was not asked for", fault="cut short")
    if not all(isinstance(record, dict) for record in records):
        raise bad_answer(answer, "has a record that is no object", fault="shape")
    lacking = [name for name in dataset.columns if any(name not in record for record in records)]
    if lacking:
        raise bad_answer(answer, f"lacks {', '.join(lacking)}", fault="columns")
    strange = [record["PriceArea"] for record in records if record["PriceArea"] != area]
    if strange:
        raise bad_answer(answer, f"is of the area {one_line(strange[0])}, not of {area}", fault="area")
    for name in dataset.values:
        wrong = [record[name] for record in records if not (record[name] is None or number(record[name]))]
        if wrong:
            raise bad_answer(answer, f"has {one_line(wrong[0])!r} for {name}, no finite number", fault="number")
    return records


def _rows(answer: Answer, records: list[dict[str, Any]], *, dataset: Dataset, area: str) -> pl.DataFrame:
    """One row a record; rows that came twice word for word are one.

    Columns: ``valid_time``, ``shifted`` (its two clocks disagree), ``version`` and its ``rank`` in `VERSIONS` (null
    where unknown, 0 where there are none), ``value`` in MW, ``foreign`` (exchange over a border that the area lacks).
    """
    utc, danish = (_stamps(answer, [record[name] for record in records], name) for name in dataset.columns[:2])
    off = utc.filter(utc.to_physical() % (dataset.resolution // timedelta(microseconds=1)) != 0)
    if len(off):
        raise bad_answer(answer, f"has {off[0]}, which is no start of an interval", fault="grid")
    versions = [record.get("Version") if dataset.versioned else None for record in records]
    ranks: dict[str | None, int] = {None: 0}
    if dataset.versioned:
        ranks = {version: rank for rank, version in enumerate(VERSIONS)}
    elsewhere = [name for name in EXCHANGES if name in dataset.values and name not in BORDERS[area]]
    rows = pl.DataFrame(
        {
            "valid_time": utc,
            "wall": danish,
            "version": [one_line(version) for version in versions],
            "rank": [ranks.get(version) if isinstance(version, str | None) else None for version in versions],
            "value": [_value(record, dataset, area=area) for record in records],
            "foreign": [any(record[name] for name in elsewhere) for record in records],
            "raw": [repr([record[name] for name in dataset.values]) for record in records],
        },
        schema_overrides={
            "valid_time": pl.Datetime("us"),
            "wall": pl.Datetime("us"),
            "version": pl.String,
            "rank": pl.Int64,
            "value": pl.Float64,
            "foreign": pl.Boolean,
            "raw": pl.String,
        },
    ).unique(maintain_order=True)
    twice = rows.filter(pl.struct("valid_time", "version").is_duplicated())
    if twice.height:
        raise bad_answer(answer, f"has {twice['valid_time'][0]} twice with different contents", fault="conflict")
    rows = rows.with_columns(pl.col("valid_time").dt.replace_time_zone("UTC"))
    wall = pl.col("valid_time").dt.convert_time_zone(DANISH).dt.replace_time_zone(None)
    return rows.with_columns(shifted=wall != pl.col("wall"))


def _value(record: Mapping[str, Any], dataset: Dataset, *, area: str) -> float | None:
    if dataset.variable == REALTIME:
        return scada_load(record, area=area, day=record[dataset.columns[0]][:10])
    value: float | None = record[dataset.values[0]]
    return value


def _stamps(answer: Answer, texts: Sequence[object], name: str) -> pl.Series:
    """Time stamps without a zone, read strictly."""
    wrong = [text for text in texts if not (isinstance(text, str) and _STAMP.fullmatch(text))]
    if not wrong:
        stamps = pl.Series(texts, dtype=pl.String).str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
        wrong = [text for text, stamp in zip(texts, stamps.is_null(), strict=True) if stamp]
    if wrong:
        raise bad_answer(answer, f"has {one_line(wrong[0])!r} for {name}, no time stamp", fault="time")
    return stamps


def _due(dataset: Dataset, span: tuple[datetime, datetime], *, at: datetime) -> pl.DataFrame:
    """The intervals that start within ``span`` and are public at ``at`` by rule."""
    start, end = span
    step = dataset.resolution
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    first = epoch - (epoch - start) // step * step
    last = min(end - timedelta(microseconds=1), at - step - dataset.lag)
    times = pl.datetime_range(first, max(first, last), step, closed="both" if last >= first else "none", eager=True)
    return pl.DataFrame({"valid_time": times}).select(
        variable=pl.lit(dataset.variable),
        valid_time=pl.col("valid_time").cast(UTC_TIME),
        resolution=pl.lit(step, dtype=pl.Duration("us")),
    )
