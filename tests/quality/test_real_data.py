"""The judgement of real load: every known fault is found, the true peak passes, hardly anything else is set aside."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from gridcast.contracts import LOAD
from gridcast.market.zones import zone
from gridcast.quality import Judgement, judge
from gridcast.sources import demo, tabular

SPIKES = (
    "2015-01-14 14",
    "2015-11-30 14",
    "2016-12-15 08",
    "2016-12-22 12",
    "2017-05-08 06",
    "2017-05-08 07",
    "2017-06-19 09",
    "2017-06-19 10",
    "2017-10-03 06",
    "2017-10-10 07",
    "2018-01-17 08",
    "2018-02-06 12",
    "2018-03-22 08",
    "2018-09-11 10",
)
"""Faults of Denmark's load 2015-2018, hours UTC."""
SOUND_AFTER_ALL = ("2016-12-15 06", "2016-12-15 07")
"""Listed beside 08:00 of that day, and like the same hours of the days before and after to 2 %: nothing is wrong."""

QUARANTINED_A_YEAR = {
    "AT_load_weather_2011_2016": 3,
    "DE_LU_load_tso_2020": 3,
    "ES_load_tso_2015_2018": 3,
    "FR_load_tso_weather_2015_2018": 3,
    "NO_1_load_2013_2018": 3,
    "NO_5_load_2013_2018": 7,
    "VIC_load_weather_2012_2014": 3,
}
"""At most so many hours. NO_5 has single hours 10 to 30 % off every few weeks, some of them missing in NO_1 then."""


def hour(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H").replace(tzinfo=UTC)


@cache
def real(folder: Path, name: str) -> tuple[pl.DataFrame, Judgement]:
    place = zone(name.split("_load", maxsplit=1)[0])
    frame = tabular.read(folder / f"{name}.csv.gz", zone=place, fetched_at=datetime(2026, 1, 1, tzinfo=UTC))
    frame = frame.filter(pl.col("variable") == LOAD)
    days = frame["valid_time"].dt.convert_time_zone(place.local_tz).dt.date()
    return frame, judge(frame, zone=place, start=days.min(), end=days.max() + timedelta(days=1))


def verdicts(judgement: Judgement, day: date) -> list[str]:
    return judgement.days.filter(pl.col("day") == day)["verdicts"].item().to_list()


@pytest.mark.parametrize("fault", SPIKES)
def test_every_known_fault_of_denmark_is_a_spike_and_set_aside(shared_data, fault):
    _, judgement = real(shared_data, "DK_load_2015_2018")
    assert hour(fault) in judgement.doubtful["valid_time"].to_list()
    assert "spike" in verdicts(judgement, hour(fault).date())


def test_the_hours_beside_a_known_fault_are_like_those_of_the_days_around(shared_data):
    frame, judgement = real(shared_data, "DK_load_2015_2018")
    value = dict(frame.select("valid_time", "value").iter_rows())
    for text in SOUND_AFTER_ALL:
        around = [value[hour(text) + timedelta(days=step)] for step in (-1, 1)]
        assert value[hour(text)] == pytest.approx(sum(around) / 2, rel=0.02)
        assert "spike" in verdicts(judgement, hour(text).date())


@pytest.mark.parametrize("year", [2015, 2016, 2017, 2018])
def test_the_true_peak_at_17_on_christmas_eve_passes(shared_data, year):
    frame, judgement = real(shared_data, "DK_load_2015_2018")
    value = dict(frame.select("valid_time", "value").iter_rows())
    four, five, six = (value[hour(f"{year}-12-24 {utc}")] for utc in (15, 16, 17))
    assert five > 1.02 * four
    assert six < 0.87 * five
    assert verdicts(judgement, date(year, 12, 24)) == ["complete"]


def test_the_peak_of_christmas_eve_passes_where_only_the_past_is_known(shared_data):
    frame, _ = real(shared_data, "DK_load_2015_2018")
    for year in (2015, 2016, 2017, 2018):
        for until in (18, 19, 21, 23):
            known = frame.filter(pl.col("valid_time") < hour(f"{year}-12-24 {until}"))
            new = known.filter(pl.col("valid_time") >= hour(f"{year}-12-23 23"))
            old = known.filter(pl.col("valid_time").is_between(hour(f"{year}-10-15 00"), hour(f"{year}-12-23 22")))
            end = date(year, 12, 25)
            judgement = judge(new, zone=zone("DK"), start=date(year, 12, 24), end=end, history=old)
            assert judgement.doubtful.height == 0


@pytest.mark.parametrize("year", [2019, 2023])
@pytest.mark.parametrize("code", demo.ZONES)
def test_christmas_of_the_demo_passes(code, year):
    start, end = date(year, 11, 1), date(year + 1, 1, 20)
    frame = demo.observations(zone(code), start=start, end=end, fetched_at=datetime(2030, 1, 1, tzinfo=UTC))
    judgement = judge(frame, zone=zone(code), start=start, end=end)
    assert judgement.days["verdict"].unique().to_list() == ["complete"]


@pytest.mark.parametrize("code", ["DK_1", "DK_2"])
def test_the_outage_of_june_2018_and_the_missing_hours_of_autumn_are_partial(shared_data, code):
    _, judgement = real(shared_data, f"{code}_load_2018")
    for day in (date(2018, 6, 14), date(2018, 6, 15), date(2018, 10, 28)):
        assert "partial" in verdicts(judgement, day)
    autumn = judgement.days.filter(pl.col("day") == date(2018, 10, 28))
    assert autumn.select("expected", "received").row(0) == (25, 23)
    assert "2 of 25 missing (2018-10-28 00:00Z to 02:00Z)" in autumn["detail"].item()


def test_the_dip_of_western_denmark_is_found(shared_data):
    _, judgement = real(shared_data, "DK_1_load_2018")
    assert {hour(f"2018-04-10 0{number}") for number in (7, 8, 9)} <= set(judgement.doubtful["valid_time"])


@pytest.mark.parametrize("name", QUARANTINED_A_YEAR)
def test_little_is_set_aside_of_real_load_and_no_clock_unit_or_stillness_is_found_where_none_is(shared_data, name):
    frame, judgement = real(shared_data, name)
    years = (frame["valid_time"][-1] - frame["valid_time"][0]) / timedelta(days=365)
    print(name, f"{judgement.doubtful.height / years:.1f} intervals a year")
    assert judgement.doubtful.height <= QUARANTINED_A_YEAR[name] * years
    assert set(judgement.days["verdicts"].explode()) <= {"complete", "partial", "spike"}


def test_denmark_beyond_its_known_faults_loses_two_hours_a_year(shared_data):
    _, judgement = real(shared_data, "DK_load_2015_2018")
    known = {*map(hour, SPIKES), *(hour(f"2018-04-10 0{number}") for number in (7, 8, 9))}
    assert len(set(judgement.doubtful["valid_time"]) - known) <= 8
    assert set(judgement.days["verdicts"].explode()) <= {"complete", "partial", "spike"}
