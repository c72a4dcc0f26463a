"""A month's file of ENTSO-E's File Library: a ZIP with one table, tab-separated, of all areas.

``UpdateTime(UTC)`` is when a row was last updated, the only publication time that ENTSO-E reports for load.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from datetime import datetime

import polars as pl

from gridcast.contracts import TSO_FORECAST, UTC_TIME
from gridcast.sources.entsoe.document import CEILING_MW, RESOLUTIONS, ROWS
from gridcast.sources.entsoe.markup import bad
from gridcast.sources.entsoe.overlaps import settled

MAX_TABLE = 256 << 20
"""Bytes of a table. A month of quarter-hours of all areas has about 30 MiB."""
MAX_RATIO = 200
"""How much smaller than its table a ZIP may be; such tables shrink to a tenth."""

TIME, UPDATED, VALUE = "DateTime(UTC)", "UpdateTime(UTC)", "TotalLoad[MW]"
COLUMNS = (TIME, "ResolutionCode", "AreaCode", "AreaTypeCode", VALUE, UPDATED)
AREA_TYPES = ("BZN", "CTA", "CTY")
"""The same series may stand for the bidding zone, the control area and the country: the first of them counts."""

_STAMP = r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?Z?$"
_NUMBER = r"^-?\d{1,9}(\.\d{1,15})?$"


def table(body: bytes) -> pl.DataFrame:
    """The one table in a ZIP, as text, with the columns `COLUMNS` at least.

    Raises:
        BadAnswer: it is no such ZIP, or too large.
    """
    text = _unpacked(body)
    try:
        frame = pl.read_csv(text.decode("utf-8-sig").encode(), separator="\t", infer_schema=False)
    except UnicodeDecodeError:
        raise bad("encoding", "the table is not UTF-8") from None
    except pl.exceptions.PolarsError as error:
        raise bad("table", str(error).partition("\n")[0]) from None
    absent = [name for name in COLUMNS if name not in frame.columns]
    if absent:
        raise bad("columns", f"the table lacks {', '.join(absent)}; it has {', '.join(frame.columns)}")
    return frame


def rows(
    frame: pl.DataFrame, *, eic: str, variable: str, fetched_at: datetime
) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    """An area's rows in a month's table: sound ones, doubtful ones with a ``reason``, and notes.

    Both have ``valid_time``, ``resolution``, ``value`` [MW] and ``published_at`` (null where none is reported).

    Raises:
        BadAnswer: a row of the area is not what it should be.
    """
    ours = frame.filter(pl.col("AreaCode") == eic).select(pl.col(COLUMNS).str.strip_chars())
    ours = ours.filter(pl.col(VALUE).fill_null("") != "")
    strange = set(ours["AreaTypeCode"].unique()) - set(AREA_TYPES)
    if strange:
        raise bad("area", f"AreaTypeCode is {', '.join(map(str, sorted(strange, key=str)))}", place=f"area {eic}")
    for column, pattern, fault in ((TIME, _STAMP, "time"), (UPDATED, _STAMP, "time"), (VALUE, _NUMBER, "quantity")):
        wrong = ours.filter(~pl.col(column).str.contains(pattern) & (pl.col(column) != ""))
        if wrong.height:
            raise bad(fault, f"{column} is {wrong[column][0]!r}", place=f"area {eic}, {wrong[TIME][0]}")
    parsed = ours.select(
        valid_time=_instant(TIME),
        resolution=pl.col("ResolutionCode").replace_strict(RESOLUTIONS, default=None, return_dtype=pl.Duration("us")),
        value=pl.col(VALUE).cast(pl.Float64),
        published_at=_instant(UPDATED),
        kind=pl.col("AreaTypeCode").replace_strict({name: n for n, name in enumerate(AREA_TYPES)}),
        code="ResolutionCode",
        update=UPDATED,
    )
    for column, broken in (
        (TIME, pl.col("valid_time").is_null()),
        (UPDATED, pl.col("published_at").is_null() & (pl.col("update") != "")),
    ):
        if parsed.filter(broken).height:
            count = parsed.filter(broken).height
            raise bad("time", f"{count} rows with a {column} that is no time", place=f"area {eic}")
    unknown = parsed.filter(pl.col("resolution").is_null())
    if unknown.height:
        raise bad("resolution", f"ResolutionCode is {unknown['code'][0]!r}", place=f"area {eic}")
    off = parsed.filter(pl.col("valid_time").dt.timestamp("us") % pl.col("resolution").dt.total_microseconds() != 0)
    if off.height:
        raise bad("grid", f"{off['valid_time'][0]} is not on the grid of {off['code'][0]}", place=f"area {eic}")
    found, notes = _one_kind(parsed)
    sound, more = settled(found.drop("code", "update"))
    return *_judged(sound, variable=variable, fetched_at=fetched_at), notes + more


def _unpacked(body: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) != 1:
                raise bad("zip", f"{len(entries)} files in the ZIP, not 1")
            most = min(MAX_TABLE, MAX_RATIO * max(len(body), 1 << 12))
            with archive.open(entries[0]) as packed:
                text = packed.read(most + 1)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        RuntimeError,
        NotImplementedError,
        ValueError,
        OverflowError,
    ) as error:
        raise bad("zip", f"it is no ZIP that can be read: {error}") from None
    if len(text) > most:
        raise bad("size", f"the table is larger than {most} bytes")
    return text


def _instant(column: str) -> pl.Expr:
    """Both forms of time: with and without fractions of a second; empty is null."""
    text = pl.col(column).str.replace("T", " ").str.strip_chars_end("Z").str.replace(r"( \d\d:\d\d)$", "$1:00")
    return (
        text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
        .dt.replace_time_zone("UTC")
        .cast(UTC_TIME)
    )


def _one_kind(parsed: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Of an interval that stands for several kinds of area, the first kind."""
    key = ["valid_time", "resolution"]
    first = pl.col("kind") == pl.col("kind").min().over(key)
    apart = parsed.filter((pl.col("value").n_unique().over(key) > 1) & (pl.col("kind").n_unique().over(key) > 1))
    notes = []
    if apart.height:
        count = apart.select(key).unique().height
        notes.append(
            f"In {count} intervals the bidding zone, control area and country of one EIC differ: the first is taken."
        )
    return parsed.filter(first).drop("kind"), notes


def _judged(sound: pl.DataFrame, *, variable: str, fetched_at: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows, and those that no file may hold."""
    value, end = pl.col("value"), pl.col("valid_time") + pl.col("resolution")
    published = pl.col("published_at")
    early = pl.lit(variable != TSO_FORECAST) & (published < end)
    judged = sound.with_columns(
        reason=pl.when(value < 0)
        .then(pl.lit("negative"))
        .when(value > CEILING_MW)
        .then(pl.lit(f"above {CEILING_MW:.0f} MW, which no zone reaches"))
        .when(early)
        .then(pl.lit("a load updated last before its interval was over"))
        .when(published > fetched_at)
        .then(pl.lit("updated after it was fetched"))
    )
    good = pl.col("reason").is_null()
    columns = [*ROWS, "published_at"]
    return judged.filter(good).select(columns), judged.filter(~good).select(*columns, "reason")
