"""The fan chart: every day, clock and resolution, one valid issue and nothing else."""

from __future__ import annotations

import re
import struct
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from gridcast import report
from gridcast.contracts import FORECAST
from gridcast.errors import ConfigError, DataError
from gridcast.market.zones import zone
from gridcast.report.fan import Fan
from reports import DK_1, a_forecast, a_history, a_page, read


@pytest.mark.parametrize(
    ("day", "count", "starts"),
    [
        (date(2018, 3, 25), 23, ("01:00", "03:00")),
        (date(2018, 10, 28), 25, ("02:00 CEST", "02:00 CET")),
    ],
)
def test_days_of_23_and_25_hours_are_drawn_whole(day, count, starts):
    forecast = a_forecast(day=day)
    fan = Fan.of(forecast, zone=DK_1)
    assert len(fan.clock) == len(set(fan.clock)) == count
    assert fan.clock[fan.clock.index(starts[0]) + 1] == starts[1]
    assert fan.delivery_day == day
    page = a_page(forecast=forecast, history=a_history(forecast), result=None)
    assert sum(len(rows) - 1 for rows in read(page).tables) == count
    assert page.count("<svg") == 2


def test_every_midnight_has_its_tick_and_every_noon_its_day():
    page = a_page(result=None)
    wide, narrow = page.split('<div class="narrow">')
    assert (wide.count("00:00</text>"), narrow.count("00:00</text>")) == (4, 3)
    assert re.findall(r">(\w+ \d+ Dec)</text>", wide) == ["Sat 29 Dec", "Sun 30 Dec", "Mon 31 Dec"]
    assert re.findall(r">(\w+ \d+ Dec)</text>", narrow) == ["Sun 30 Dec", "Mon 31 Dec"]


def test_a_delivery_day_is_shown_on_the_local_clock():
    finland = zone("FI")
    fan = Fan.of(a_forecast(finland), zone=finland)
    assert (fan.clock[0], fan.clock[-1]) == ("01:00", "Tue 00:00")
    assert fan.window == "Monday 31 December 2018"
    assert fan.peak == "2,000 MW at 18:00\N{EN DASH}19:00"


def test_the_next_24_hours_are_no_delivery_day_and_have_no_gate():
    forecast = a_forecast().with_columns(
        pl.col("valid_time") - timedelta(hours=5),
        issue_time=pl.lit(datetime(2018, 12, 30, 17, 30, tzinfo=UTC), FORECAST["issue_time"]),
    )
    fan = Fan.of(forecast, zone=DK_1)
    assert fan.delivery_day is None
    assert fan.window == "Sun 30 Dec 2018 19:00 to Mon 19:00"
    page = a_page(forecast=forecast, result=None)
    assert "issued 18:30" in page
    assert "gate closes" not in page


def test_load_that_came_after_the_issue_is_drawn_apart():
    forecast = a_forecast()
    later = pl.DataFrame({"valid_time": forecast["valid_time"].unique().sort()[:5], "value": [1500.0] * 5})
    assert "actual, came later" in a_page(forecast=forecast, history=later, result=None)
    assert "actual" not in re.sub(r"<footer.*", "", a_page(forecast=forecast, history=later.head(0), result=None))


def test_a_hole_in_the_history_is_no_line():
    from gridcast.report.fan import _with_gaps

    hour = np.timedelta64(1, "h")
    times = np.datetime64("2018-01-01T00", "us") + np.array([0, 1, 4, 5]) * hour
    places, values = _with_gaps(times, np.arange(4.0), step=hour)
    assert np.isnan(values).tolist() == [False, False, True, False, False]
    assert (np.diff(places) > np.timedelta64(0, "h")).all()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame.head(0),
        lambda frame: frame.filter(pl.col("quantile") != 0.5),
        lambda frame: frame.with_columns(zone=pl.lit("DK_2")),
        lambda frame: pl.concat([frame, frame.with_columns(pl.col("issue_time") - timedelta(hours=1))]),
        lambda frame: frame.with_columns(-pl.col("value")),
        lambda frame: frame.filter(pl.col("valid_time") != pl.col("valid_time").min() + timedelta(hours=3)),
    ],
)
def test_a_table_that_is_not_one_valid_issue_of_the_zone_is_refused(spoil):
    with pytest.raises(DataError):
        Fan.of(spoil(a_forecast()), zone=DK_1)


def test_the_chart_is_written_as_png_and_as_svg_on_light_paper(tmp_path):
    forecast = a_forecast()
    markup = report.fan_chart(forecast, history=None, zone=DK_1, path=tmp_path / "fan.svg")
    report.fan_chart(forecast, history=None, zone=DK_1, path=tmp_path / "fan.PNG")

    assert ElementTree.fromstring((tmp_path / "fan.svg").read_text("utf-8")).tag.endswith("svg")
    assert markup == (tmp_path / "fan.svg").read_text("utf-8")
    content = (tmp_path / "fan.PNG").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (1920, 960)
    assert not re.search(rb"https?://(?!www\.w3\.org)", (tmp_path / "fan.svg").read_bytes())


def test_a_chart_of_another_format_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ConfigError):
        report.fan_chart(a_forecast(), history=None, zone=DK_1, path=tmp_path / "fan.docx")
    assert list(tmp_path.iterdir()) == []
