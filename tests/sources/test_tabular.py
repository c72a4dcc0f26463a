"""A user's own file: what is read from a good one, and the one clear error of each bad one."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.contracts import LOAD, TSO_FORECAST
from gridcast.errors import (
    BadTime,
    DataError,
    DuplicateTime,
    GridcastError,
    ImplausibleValue,
    MissingColumns,
    OffGrid,
    UnreadableFile,
)
from gridcast.market.zones import BiddingZone
from gridcast.sources import tabular

ZONE = BiddingZone("X", "X", "DK", "Europe/Copenhagen", "Europe/Copenhagen")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

GOOD = """\
ts_utc,load_mw,tso_forecast_mw,temperature_c,wind_ms,rad_direct_wm2,rad_diffuse_wm2,price,note
2026-03-28T22:00:00Z,100.5,99,-1.5,3,0,0,12,cold
2026-03-28T23:00:00Z,,98,,3,0,0,-5,
2026-03-29T00:00:00Z,102,97,0,3,1,2,,late
2026-03-29T01:00:00Z,0,,1,3,3,4,7,
"""
HOURS = "".join(f"2026-01-01T{hour:02}:00:00Z,{hour}\n" for hour in range(24))


def written(folder: Path, text: str | bytes, *, name: str = "load.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(path: Path, **options: timedelta) -> pl.DataFrame:
    return tabular.read(path, zone=ZONE, fetched_at=NOW, **options)


def of(frame: pl.DataFrame, variable: str) -> pl.DataFrame:
    return frame.filter(variable=variable).sort("valid_time")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_each_column_becomes_a_variable_and_an_empty_cell_no_row(tmp_path: Path) -> None:
    frame = read(written(tmp_path, GOOD))
    counts = dict(frame.group_by("variable").len().iter_rows())
    assert counts == {
        LOAD: 3,
        TSO_FORECAST: 3,
        "temperature_2m_observed": 3,
        "wind_speed_10m_observed": 4,
        "direct_radiation_observed": 4,
        "diffuse_radiation_observed": 4,
        "price_observed": 3,
    }
    assert of(frame, LOAD)["value"].to_list() == [100.5, 102.0, 0.0]
    assert of(frame, "temperature_2m_observed")["value"].to_list() == [-1.5, 0.0, 1.0]
    assert frame["zone"].unique().to_list() == ["X"]
    assert frame["fetched_at"].unique().to_list() == [NOW]
    assert frame["published_at_basis"].unique().to_list() == ["assumed"]
    assert frame["resolution"].unique().to_list() == [60 * MINUTE]
    assert of(frame, TSO_FORECAST)["source"].unique().to_list() == ["tabular:last-version"]


def test_load_is_assumed_public_two_hours_after_the_interval_unless_told(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert of(read(path), LOAD)["published_at"][0] == at("2026-03-29T01:00")
    assert of(read(path, load_lag=timedelta(hours=5)), LOAD)["published_at"][0] == at("2026-03-29T04:00")
    assert of(read(path), "temperature_2m_observed")["published_at"][0] == at("2026-03-28T23:00")


def test_the_operators_forecast_is_assumed_public_at_ten_market_time_the_day_before(tmp_path: Path) -> None:
    published = of(read(written(tmp_path, GOOD)), TSO_FORECAST)["published_at"].to_list()
    assert published == [at("2026-03-27T09:00"), at("2026-03-28T09:00"), at("2026-03-28T09:00")]
    summer = "ts_utc,load_mw,tso_forecast_mw\n2026-07-01T22:00Z,1,1\n2026-07-01T23:00Z,1,1\n"
    assert of(read(written(tmp_path, summer)), TSO_FORECAST)["published_at"][0] == at("2026-07-01T08:00")


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-03-28T{:02}:00:00Z",
        "2026-03-28T{:02}:00Z",
        "2026-03-28 {:02}:00:00Z",
        "2026-03-28T{:02}:00:00.000Z",
        " 2026-03-28T{:02}:00:00Z ",
        "2026-03-28T{:02}:00:00+00:00",
        "2026-03-28T{:02}:00:00+0000",
        "2026-03-28 {:02}:00+00:00",
    ],
)
def test_stamps_may_be_written_in_any_iso_form_that_names_its_offset(stamp: str, tmp_path: Path) -> None:
    text = "ts_utc,load_mw\n" + "".join(f"{stamp.format(hour)},1\n" for hour in range(3))
    frame = read(written(tmp_path, text))
    assert frame["valid_time"].to_list() == [at(f"2026-03-28T{hour:02}:00") for hour in range(3)]


def test_an_offset_is_converted_also_where_it_changes_in_spring(tmp_path: Path) -> None:
    text = "ts_utc,load_mw\n2026-03-29T01:00:00+01:00,1\n2026-03-29T03:00:00+02:00,2\n2026-03-29T02:00:00Z,3\n"
    frame = read(written(tmp_path, text))
    assert frame["valid_time"].to_list() == [at(f"2026-03-29T{hour:02}:00") for hour in range(3)]


def test_unsorted_rows_and_blank_lines_and_a_byte_order_mark_are_accepted(tmp_path: Path) -> None:
    head, *lines = GOOD.splitlines(keepends=True)
    shuffled = "\ufeff" + head + lines[3] + "\n" + lines[0] + lines[2] + lines[1] + "\n"
    assert read(written(tmp_path, shuffled)).equals(read(written(tmp_path, GOOD, name="good.csv")))
    windows = GOOD.replace("\n", "\r\n")
    assert read(written(tmp_path, windows)).equals(read(written(tmp_path, GOOD, name="good.csv")))


def test_csv_gzip_and_parquet_hold_the_same(tmp_path: Path) -> None:
    plain = read(written(tmp_path, GOOD))
    assert read(written(tmp_path, gzip.compress(GOOD.encode()), name="load.csv.gz")).equals(plain)
    typed = pl.read_csv(GOOD.encode(), try_parse_dates=True)
    assert isinstance(typed["ts_utc"].dtype, pl.Datetime)
    typed.write_parquet(tmp_path / "typed.parquet")
    assert read(tmp_path / "typed.parquet").equals(plain)
    pl.read_csv(GOOD.encode(), infer_schema=False).write_parquet(tmp_path / "text.parquet")
    assert read(tmp_path / "text.parquet").equals(plain)
    local = typed.with_columns(pl.col("ts_utc").dt.convert_time_zone("Europe/Paris").dt.cast_time_unit("ns"))
    assert tabular.from_frame(local, zone=ZONE, fetched_at=NOW).equals(plain)


def test_integers_and_flags_of_a_typed_frame_are_read_and_left_out() -> None:
    frame = pl.DataFrame(
        {
            "ts_utc": [at("2026-01-01"), at("2026-01-01T01:00")],
            "load_mw": [1, 2],
            "flag": [True, False],
            "wind_ms": [3, None],
        }
    )
    found = tabular.from_frame(frame, zone=ZONE, fetched_at=NOW)
    assert found.select("variable", "value").rows() == [(LOAD, 1.0), (LOAD, 2.0), ("wind_speed_10m_observed", 3.0)]


@given(
    segments=st.lists(st.sampled_from(tabular.RESOLUTIONS), min_size=1, max_size=4),
    hours=st.lists(st.integers(6, 30), min_size=4, max_size=4),
    data=st.data(),
)
def test_the_resolution_of_every_row_is_found_across_changes_and_gaps(
    segments: list[timedelta], hours: list[int], data: st.DataObject
) -> None:
    stamps, steps = [at("2026-01-01")], []
    for step, length in zip(segments, hours, strict=False):
        count = int(timedelta(hours=length) / step)
        stamps += [stamps[-1] + n * step for n in range(1, count + 1)]
        steps += [step] * count
    del stamps[-1]
    stretch_starts = np.cumsum([0] + [int(timedelta(hours=n) / s) for s, n in zip(segments, hours, strict=False)])
    gap = data.draw(st.sampled_from(range(int(stretch_starts[-2]) + 5, len(stamps))))
    width = data.draw(st.integers(0, 3))
    keep = [n for n in range(len(stamps)) if not gap <= n < gap + width]
    frame = pl.DataFrame({"ts_utc": [stamps[n] for n in keep], "load_mw": 1.0})
    found = tabular.from_frame(frame, zone=ZONE, fetched_at=NOW)
    assert found["valid_time"].to_list() == [stamps[n] for n in keep]
    assert found["resolution"].to_list() == [steps[n] for n in keep]


def test_a_short_file_with_gaps_has_the_resolution_of_its_smallest_step() -> None:
    stamps = [at(f"2026-01-01T{clock}") for clock in ("00:00", "00:30", "01:15", "01:30", "05:00")]
    frame = pl.DataFrame({"ts_utc": stamps, "load_mw": 1.0})
    found = tabular.from_frame(frame, zone=ZONE, fetched_at=NOW)
    assert found["resolution"].unique().to_list() == [15 * MINUTE]


HEAD = "ts_utc,load_mw\n"
GOOD_ROWS = HEAD + HOURS

BAD_TEXT: dict[str, tuple[str, type[GridcastError], str]] = {
    "no ts_utc": ("time,load_mw\n2026-01-01T00:00:00Z,1\n", MissingColumns, "no column ts_utc; it has time, load_mw"),
    "no load_mw": ("ts_utc,mw\n2026-01-01T00:00:00Z,1\n", MissingColumns, "no column load_mw"),
    "neither": ("a;b\n1;2\n", MissingColumns, "no column ts_utc and no column load_mw; it has a;b"),
    "a column twice": ("ts_utc,load_mw,load_mw\n2026-01-01T00:00:00Z,1,2\n", DataError, "the column load_mw twice"),
    "naive": (HEAD + HOURS.replace("Z", ""), BadTime, "the stamps lack a time zone, in line 2: '2026-01-01T00:00:00'"),
    "mixed": (
        GOOD_ROWS.replace("05:00:00Z", "05:00:00"),
        BadTime,
        "some stamps, but not all, lack a time zone, in line 7",
    ),
    "text": (GOOD_ROWS.replace("2026-01-01T05:00:00Z", "soon"), BadTime, "not a time stamp in line 7: 'soon'"),
    "empty stamp": (GOOD_ROWS.replace("2026-01-01T05:00:00Z", ""), BadTime, "not a time stamp in line 7: empty"),
    "day 32": (GOOD_ROWS.replace("2026-01-01T05", "2026-01-32T05"), BadTime, "not a time stamp in line 7"),
    "a date": (GOOD_ROWS.replace("T05:00:00Z", ""), BadTime, "not a time stamp in line 7: '2026-01-01'"),
    "truncated line": (GOOD_ROWS[:-12], BadTime, "not a time stamp in line 25: '2026-01-01T2'"),
    "duplicate": (
        GOOD_ROWS + "2026-01-01T05:00:00Z,5\n",
        DuplicateTime,
        "line 7: 2026-01-01T05:00:00Z, 26: 2026-01-01T05",
    ),
    "off grid": (
        GOOD_ROWS + "2026-01-01T10:07:00Z,1\n",
        OffGrid,
        r"not multiples of the resolution \(1:00:00\), in line",
    ),
    "half hour between": (
        GOOD_ROWS + "2026-01-01T10:30:00Z,1\n",
        OffGrid,
        "line 12: 2026-01-01T10:00:00Z, 26: 2026-01-01T10:30",
    ),
    "shifted grid": (HEAD + HOURS.replace(":00:00Z", ":30:00Z"), OffGrid, "line 2: 2026-01-01T00:30:00Z.* and 19 more"),
    "daily": (HEAD + "2026-01-01T00:00Z,1\n2026-01-02T00:00Z,1\n", OffGrid, "1 day"),
    "seven minutes": (HEAD + "2026-01-01T00:00Z,1\n2026-01-01T00:07Z,1\n", OffGrid, "0:07:00"),
    "negative": (GOOD_ROWS.replace("Z,5\n", "Z,-5\n"), ImplausibleValue, "load_mw is negative, .* in line 7: '-5'"),
    "infinite": (GOOD_ROWS.replace("Z,5\n", "Z,inf\n"), ImplausibleValue, "line 7: 'inf'"),
    "NaN": (GOOD_ROWS.replace("Z,5\n", "Z,NaN\n"), ImplausibleValue, "line 7: 'NaN'"),
    "words": (GOOD_ROWS.replace("Z,5\n", "Z,n/a\n"), ImplausibleValue, "line 7: 'n/a'"),
    "decimal comma": (GOOD_ROWS.replace("Z,5\n", 'Z,"5,1"\n'), ImplausibleValue, "line 7: '5,1'"),
    "negative forecast": (
        "ts_utc,load_mw,tso_forecast_mw\n2026-01-01T00:00Z,1,-1\n2026-01-01T01:00Z,1,1\n",
        ImplausibleValue,
        "tso_forecast_mw is negative",
    ),
    "weather in words": (
        "ts_utc,load_mw,temperature_c\n2026-01-01T00:00Z,1,cold\n2026-01-01T01:00Z,1,\n",
        ImplausibleValue,
        "temperature_c is infinite or not a number in line 2: 'cold'",
    ),
    "half words": (
        "ts_utc,load_mw,price\n2026-01-01T00:00Z,1,12\n2026-01-01T01:00Z,1,?\n",
        ImplausibleValue,
        "price is .* line 3",
    ),
    "header only": (HEAD, UnreadableFile, "header only"),
    "one row": (HEAD + "2026-01-01T00:00Z,1\n", DataError, "one row"),
    "too many cells": (GOOD_ROWS + "2026-01-02T00:00:00Z,1,2\n", UnreadableFile, "is not CSV: found more fields"),
    "empty": ("", UnreadableFile, "is empty"),
    "only blank lines": ("\n\n", UnreadableFile, "is empty"),
}


@pytest.mark.parametrize("name", BAD_TEXT)
def test_a_bad_file_is_one_clear_line(name: str, tmp_path: Path) -> None:
    text, kind, message = BAD_TEXT[name]
    path = written(tmp_path, text)
    with pytest.raises(kind, match=message) as caught:
        read(path)
    assert caught.type is kind
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert caught.value.where == str(path)
    assert caught.value.remedy


def test_lines_are_those_of_the_file_although_some_are_blank_or_unsorted(tmp_path: Path) -> None:
    text = HEAD + "2026-01-01T02:00Z,1\n\n2026-01-01T01:00Z,-1\n2026-01-01T00:00Z,1\n"
    with pytest.raises(ImplausibleValue) as caught:
        read(written(tmp_path, text))
    assert caught.value.rows == [(4, "-1")]


WHOLE = gzip.compress(GOOD_ROWS.encode())

BAD_BYTES: dict[str, tuple[str, bytes, str]] = {
    "truncated gzip": ("load.csv.gz", WHOLE[: len(WHOLE) // 2], "damaged or truncated gzip"),
    "damaged gzip": ("load.csv.gz", WHOLE[:20] + b"\xff" * 8 + WHOLE[28:], "damaged or truncated gzip|not a gzip"),
    "not a gzip": ("load.csv.gz", GOOD_ROWS.encode(), "is not a gzip"),
    "empty gzip": ("load.csv.gz", b"", "is empty"),
    "gzip of nothing": ("load.csv.gz", gzip.compress(b""), "is empty"),
    "gzip named csv": ("load.csv", WHOLE, "is binary, not CSV"),
    "binary": ("load.csv", bytes(range(256)) * 20, "is binary, not CSV"),
    "latin-1": (
        "load.csv",
        GOOD_ROWS.encode() + "2026-01-02T00:00:00Z,é\n".encode("latin-1"),
        "not UTF-8 text in line 26",
    ),
    "not parquet": ("load.parquet", GOOD_ROWS.encode(), "is not a Parquet file"),
    "empty parquet": ("load.parquet", b"", "is empty"),
}


@pytest.mark.parametrize("name", BAD_BYTES)
def test_a_file_that_cannot_be_read_says_why(name: str, tmp_path: Path) -> None:
    file_name, raw, message = BAD_BYTES[name]
    path = written(tmp_path, raw, name=file_name)
    with pytest.raises(UnreadableFile, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


def test_a_truncated_parquet_file_says_so(tmp_path: Path) -> None:
    pl.read_csv(GOOD.encode()).write_parquet(tmp_path / "whole.parquet")
    raw = (tmp_path / "whole.parquet").read_bytes()
    for length in (len(raw) // 2, len(raw) - 3):
        with pytest.raises(UnreadableFile, match="Parquet"):
            read(written(tmp_path, raw[:length], name="cut.parquet"))


def test_a_missing_file_and_a_folder_say_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="does not exist"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(UnreadableFile, match="cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (lambda f: f.with_columns(pl.col("ts_utc").dt.replace_time_zone(None)), BadTime, "the stamps lack a time zone"),
        (lambda f: f.with_columns(pl.col("ts_utc").dt.date()), BadTime, "type Date, not a time"),
        (lambda f: f.with_columns(ts_utc=pl.int_range(pl.len())), BadTime, "type Int64, not a time"),
        (lambda f: f.with_columns(ts_utc=pl.when(pl.col("load_mw") > 0).then("ts_utc")), BadTime, "line 2: empty"),
        (lambda f: f.with_columns(load_mw=pl.lit(float("nan"))), ImplausibleValue, "line 2: nan, 3: nan"),
        (lambda f: f.with_columns(load_mw=pl.lit(-1)), ImplausibleValue, "line 2: -1"),
        (lambda f: f.clear(), UnreadableFile, "header only"),
        (lambda f: f.select("ts_utc"), MissingColumns, "no column load_mw"),
        (lambda f: pl.concat([f, f]), DuplicateTime, "line 2: 2026-01-01T00:00:00Z, 4: "),
    ],
)
def test_a_bad_frame_is_one_clear_line(
    spoil: Callable[[pl.DataFrame], pl.DataFrame], kind: type[GridcastError], message: str
) -> None:
    good = pl.DataFrame({"ts_utc": [at("2026-01-01"), at("2026-01-01T01:00")], "load_mw": [0.0, 2.0]})
    with pytest.raises(kind, match=message) as caught:
        tabular.from_frame(spoil(good), zone=ZONE, fetched_at=NOW, where="the frame")
    assert str(caught.value).startswith("the frame")


REAL = {
    "AT_load_weather_2011_2016": (60, 5),
    "DE_LU_load_tso_2020": (15, 2),
    "DK_1_load_2018": (60, 1),
    "DK_2_load_2018": (60, 1),
    "DK_load_2015_2018": (60, 2),
    "ES_load_tso_2015_2018": (60, 2),
    "FR_load_tso_weather_2015_2018": (60, 5),
    "NO_1_load_2013_2018": (60, 1),
    "NO_5_load_2013_2018": (60, 2),
    "VIC_load_weather_2012_2014": (30, 2),
}


@pytest.mark.parametrize("name", REAL)
def test_a_real_file_is_read_in_less_than_a_second(name: str, shared_data: Path) -> None:
    resolution, variables = REAL[name]
    began = time.process_time()
    frame = read(shared_data / f"{name}.csv.gz")
    assert time.process_time() - began < 1.0
    assert frame["resolution"].unique().to_list() == [resolution * MINUTE]
    assert frame["variable"].n_unique() == variables
    assert of(frame, LOAD).height > 8_000
