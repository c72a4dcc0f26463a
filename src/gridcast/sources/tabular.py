"""A user's own file: CSV, gzipped CSV or Parquet with ``ts_utc``, ``load_mw`` and, optionally, more columns.

``ts_utc`` is the interval's start with ``Z`` or an offset, ``load_mw`` and ``tso_forecast_mw`` are MW as the interval's
mean. Every further numeric column is weather as it was observed. An empty cell is a missing value.
"""

from __future__ import annotations

import gzip
import zlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

import polars as pl

from gridcast.contracts import LOAD, OBSERVATIONS, OBSERVED, TSO_FORECAST, UTC_TIME, observations
from gridcast.errors import (
    BadTime,
    DataError,
    DuplicateTime,
    ImplausibleValue,
    MissingColumns,
    OffGrid,
    UnreadableFile,
)
from gridcast.market.zones import BiddingZone
from gridcast.sources.publication import LOAD_LAG, load_public, tso_forecast_public

SOURCE = "tabular"
LAST_VERSION = "tabular:last-version"
"""Source of the operator's forecast: a file holds the last version, maybe younger than its assumed publication."""

RESOLUTIONS = tuple(timedelta(minutes=n) for n in (5, 6, 10, 12, 15, 20, 30, 60))

WEATHER = {
    "temperature_c": "temperature_2m",
    "wind_ms": "wind_speed_10m",
    "rad_direct_wm2": "direct_radiation",
    "rad_diffuse_wm2": "diffuse_radiation",
}
"""Columns with a name of their own, and the variable (°C, m/s, W/m²) they hold."""

RUN = 4
"""So many equal steps in a row make a stretch of one resolution; fewer are gaps."""

_STAMP = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$"
_LINE = "_line"


def read(path: Path | str, *, zone: BiddingZone, fetched_at: datetime, load_lag: timedelta = LOAD_LAG) -> pl.DataFrame:
    """The Observations in a ``.csv``, ``.csv.gz`` or ``.parquet`` file.

    Args:
        path: the file.
        zone: whose load it is.
        fetched_at: when it was read (UTC).
        load_lag: how long after an interval's end its load is assumed to have been public.

    Raises:
        UnreadableFile: missing, empty, truncated, binary, or not of the format its name says.
        MissingColumns: no ``ts_utc`` or no ``load_mw``.
        BadTime: stamps without time zone, or text.
        DuplicateTime: the same instant twice.
        OffGrid: stamps that are not multiples of the resolution.
        ImplausibleValue: a load that is negative, or a value that is infinite or not a number.
    """
    path = Path(path)
    frame = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    return from_frame(frame, zone=zone, fetched_at=fetched_at, load_lag=load_lag, where=str(path))


def from_frame(
    frame: pl.DataFrame,
    *,
    zone: BiddingZone,
    fetched_at: datetime,
    load_lag: timedelta = LOAD_LAG,
    where: str = "frame",
) -> pl.DataFrame:
    """The Observations in a frame with the same columns as a file; errors as in `read`, the first row being line 2.

    Rows may come in any order, and the resolution may change part-way. Publication is assumed: load ``load_lag`` after
    the interval's end, the operator's forecast at 10:00 market time on the day before delivery, weather at the end of
    the interval.
    """
    missing = [name for name in ("ts_utc", "load_mw") if name not in frame.columns]
    if missing:
        raise MissingColumns(
            f"{where} has no column {' and no column '.join(missing)}; it has {', '.join(frame.columns) or 'none'}",
            remedy="name the interval's start ts_utc and the load in MW load_mw, separated by commas",
            where=where,
            missing=missing,
        )
    twice = [name for name in frame.columns if "_duplicated_" in name]
    if twice:
        raise DataError(
            f"{where} has the column {twice[0].split('_duplicated_')[0]} twice", remedy="keep one of them", where=where
        )
    reserved = [name for name in (_LINE, "resolution") if name in frame.columns]
    if reserved:
        raise DataError(
            f"{where} has a column {reserved[0]}, a name of our own",
            remedy="rename it; the resolution is read from the time stamps",
            where=where,
        )
    variables = [WEATHER.get(name, name) for name in frame.columns]
    doubled = [name for name in frame.columns if variables.count(WEATHER.get(name, name)) > 1]
    if doubled:
        raise DataError(
            f"{where} has the columns {' and '.join(doubled)} for one variable", remedy="keep one of them", where=where
        )
    frame = frame.with_row_index(_LINE, offset=2)
    frame = frame.filter(~pl.all_horizontal(pl.exclude(_LINE).is_null()))
    if frame.is_empty():
        raise UnreadableFile(f"{where} has a header only", remedy="give it at least two days of load", where=where)
    frame = frame.with_columns(ts_utc=_instants(frame, where=where)).sort("ts_utc", _LINE)
    frame = frame.with_columns(resolution=_resolutions(frame, where=where))

    start, resolution = pl.col("ts_utc"), pl.col("resolution")
    public = load_public(start, resolution=resolution, lag=load_lag)
    parts = [_rows(frame, "load_mw", variable=LOAD, published_at=public, source=SOURCE, where=where)]
    if "tso_forecast_mw" in frame.columns:
        public = tso_forecast_public(start, zone=zone)
        parts.append(
            _rows(
                frame, "tso_forecast_mw", variable=TSO_FORECAST, published_at=public, source=LAST_VERSION, where=where
            )
        )
    for name in frame.columns:
        if name not in (_LINE, "ts_utc", "resolution", "load_mw", "tso_forecast_mw") and _is_weather(frame[name]):
            variable = WEATHER.get(name, name) + OBSERVED
            parts.append(
                _rows(frame, name, variable=variable, published_at=start + resolution, source=SOURCE, where=where)
            )
    result = pl.concat(parts).with_columns(
        zone=pl.lit(zone.code),
        published_at_basis=pl.lit("assumed"),
        fetched_at=pl.lit(fetched_at).dt.convert_time_zone("UTC").cast(UTC_TIME),
    )
    return observations(result.select(list(OBSERVATIONS)), where=where)


def _csv(path: Path) -> pl.DataFrame:
    raw = _bytes(path)
    if path.suffix == ".gz":
        try:
            raw = gzip.decompress(raw)
        except (EOFError, zlib.error) as error:
            _unreadable(path, "is a damaged or truncated gzip", remedy="copy or download it again", cause=error)
        except gzip.BadGzipFile as error:
            _unreadable(
                path, "is not a gzip, whatever its name says", remedy="name it .csv or compress it", cause=error
            )
    if b"\0" in raw or raw[:2] == b"\x1f\x8b":
        _unreadable(path, "is binary, not CSV", remedy="name it by its format: .csv, .csv.gz or .parquet")
    try:
        raw.decode("utf-8")
        return pl.read_csv(raw, infer_schema=False)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        _unreadable(path, f"is not UTF-8 text in line {line}", remedy="save it as UTF-8 CSV", cause=error)
    except pl.exceptions.NoDataError as error:
        _unreadable(path, "is empty", remedy="copy or download it again", cause=error)
    except pl.exceptions.ComputeError as error:
        _unreadable(
            path,
            "is not CSV: " + str(error).splitlines()[0],
            remedy="give each line as many cells as the header has",
            cause=error,
        )


def _parquet(path: Path) -> pl.DataFrame:
    raw = _bytes(path)
    try:
        return pl.read_parquet(raw)
    except (pl.exceptions.PolarsError, OSError) as error:
        _unreadable(path, "is not a Parquet file, or is damaged", remedy="write it again", cause=error)


def _bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        _unreadable(path, "does not exist", remedy="check the path", cause=error)
    except OSError as error:
        _unreadable(path, f"cannot be read ({error.strerror})", remedy="name a file that you may read", cause=error)
    if not raw:
        _unreadable(path, "is empty", remedy="copy or download it again")
    return raw


def _unreadable(path: Path, what: str, *, remedy: str, cause: Exception | None = None) -> NoReturn:
    raise UnreadableFile(f"{path} {what}", remedy=remedy, where=str(path)) from cause


def _lines(rows: pl.DataFrame, column: str) -> tuple[str, list[tuple[int, object]]]:
    """The first offending rows as text and as (line, cell)."""
    first = list(rows.select(_LINE, column).head(5).iter_rows())
    more = f" and {rows.height - len(first)} more" if rows.height > len(first) else ""
    return "line " + ", ".join(f"{line}: {_shown(cell)}" for line, cell in first) + more, first


def _shown(cell: object) -> str:
    if isinstance(cell, datetime):
        return cell.isoformat().replace("+00:00", "Z")
    return "empty" if cell is None else repr(cell)


def _instants(frame: pl.DataFrame, *, where: str) -> pl.Series:
    """``ts_utc`` as UTC instants."""
    remedy = "write the interval's start in UTC as 2026-01-31T23:00:00Z"
    stamps = frame["ts_utc"]
    if isinstance(stamps.dtype, pl.Datetime):
        parsed, naive = stamps, pl.repeat(stamps.dtype.time_zone is None, len(stamps), eager=True)
    elif stamps.dtype == pl.String:
        stamps = stamps.str.strip_chars()
        well_formed = pl.when(stamps.str.contains(_STAMP)).then(stamps)
        zoned = stamps.str.contains(r"(Z|[+-]\d\d:?\d\d)$").fill_null(False)
        naive = stamps.str.contains(_STAMP) & ~zoned
        full = frame.select(well_formed.str.replace(r"[T ](\d\d:\d\d)(Z|[+-])", "T$1:00$2").alias("ts_utc"))["ts_utc"]
        parsed = full.str.replace(" ", "T").str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    else:
        raise BadTime(f"{where}: ts_utc is of type {stamps.dtype}, not a time", remedy=remedy, where=where, rows=[])
    bad = frame.filter(parsed.is_null() & ~naive.fill_null(False))
    if bad.height:
        text, rows = _lines(bad, "ts_utc")
        raise BadTime(f"{where}: ts_utc is not a time stamp in {text}", remedy=remedy, where=where, rows=rows)
    if naive.any():
        text, rows = _lines(frame.filter(naive), "ts_utc")
        mixed = "some stamps, but not all, lack" if not naive.all() else "the stamps lack"
        raise BadTime(f"{where}: {mixed} a time zone, in {text}", remedy=remedy, where=where, rows=rows)
    return parsed.dt.convert_time_zone("UTC").dt.cast_time_unit("us")


def _resolutions(frame: pl.DataFrame, *, where: str) -> pl.Series:
    """The resolution of each row of a sorted frame.

    A run of equal steps is a stretch of that resolution; rows at a gap belong to the stretch before it.
    """
    twice = frame.filter(pl.col("ts_utc").is_duplicated())
    if twice.height:
        text, rows = _lines(twice, "ts_utc")
        raise DuplicateTime(
            f"{where}: an instant stands twice, in {text}", remedy="keep one row an interval", where=where, rows=rows
        )
    if frame.height < 2:
        raise DataError(f"{where} has one row, which shows no resolution", remedy="give it more load", where=where)
    step = pl.col("step")
    allowed = step.is_in(list(RESOLUTIONS))
    stretch = pl.when(allowed & (pl.len().over(step.rle_id()) >= RUN)).then(step)
    steps = frame.select(pl.col("ts_utc"), _LINE, step=-pl.col("ts_utc").diff(-1))
    found = steps.with_columns(
        resolution=pl.coalesce(stretch.forward_fill(), stretch.backward_fill(), step.filter(allowed).min(), step.min())
    )
    since_epoch = pl.col("ts_utc").dt.replace_time_zone(None) - pl.datetime(1970, 1, 1)
    phase = since_epoch.to_physical() % pl.col("resolution").to_physical()
    off = found.filter(~pl.col("resolution").is_in(list(RESOLUTIONS)) | (phase != 0) | (step < pl.col("resolution")))
    if off.height:
        text, rows = _lines(off, "ts_utc")
        raise OffGrid(
            f"{where}: stamps are not multiples of the resolution ({off['resolution'][0]}), in {text}",
            remedy="name each interval by its start, in steps of 5, 6, 10, 12, 15, 20, 30 or 60 minutes of UTC",
            where=where,
            rows=rows,
        )
    return found["resolution"]


def _is_weather(column: pl.Series) -> bool:
    """Whether a further column holds weather; one of text does if it has any number, and must then have no words."""
    if column.dtype == pl.String:
        return column.name in WEATHER or _numbers(column).is_not_null().any()
    return column.dtype.is_numeric()


def _numbers(column: pl.Series) -> pl.Series:
    text = column.str.strip_chars() if column.dtype == pl.String else column
    return text.cast(pl.Float64, strict=False)


def _rows(
    frame: pl.DataFrame, column: str, *, variable: str, published_at: pl.Expr, source: str, where: str
) -> pl.DataFrame:
    """One variable's rows, without zone, basis and fetch."""
    cells = frame[column]
    values = _numbers(cells)
    present = cells.is_not_null() if cells.dtype != pl.String else cells.str.strip_chars().fill_null("") != ""
    power = variable in (LOAD, TSO_FORECAST)
    wild = present & (values.is_null() | ~values.is_finite() | ((values < 0) & power)).fill_null(True)
    if wild.any():
        text, rows = _lines(frame.filter(wild).sort(_LINE), column)
        raise ImplausibleValue(
            f"{where}: {column} is {'negative, ' * power}infinite or not a number in {text}",
            remedy="leave a missing value's cell empty, and mend or drop the others",
            where=where,
            rows=rows,
        )
    return frame.select(
        variable=pl.lit(variable),
        valid_time="ts_utc",
        resolution="resolution",
        value=values,
        published_at=published_at.cast(UTC_TIME),
        source=pl.lit(source),
    ).filter(present)
