"""What a judgement promises for any zone, resolution, day and history."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcast.contracts import DOUBTFUL, LOAD, TSO_FORECAST
from gridcast.errors import ConfigError
from gridcast.market.days import HOUR, Times, from_local_wall, local_wall
from gridcast.market.zones import BiddingZone, zone
from gridcast.quality import DAYS, VERDICTS, judge
from strategies import clock_changes, minutes, rows, utc, zone_codes

DK_1 = zone("DK_1")
DAY = timedelta(days=1)


def midnight(day: date, place: BiddingZone) -> np.datetime64:
    return from_local_wall(np.array([np.datetime64(day, "us")]), place.local_tz)[0]


def times_of(place: BiddingZone, *, start: date, end: date, step: int) -> Times:
    return np.arange(midnight(start, place), midnight(end, place), minutes(step))


def sound(
    place: BiddingZone,
    *,
    start: date,
    end: date,
    step: int = 60,
    level: float = 2000.0,
    seed: int = 0,
    digits: int = 3,
    variable: str = LOAD,
) -> pl.DataFrame:
    """Load with the rhythm of days, weeks and seasons, weather that lasts for days, and a noise."""
    random = np.random.default_rng(seed)
    times = times_of(place, start=start, end=end, step=step)
    wall = local_wall(times, place.local_tz)
    day = wall.astype("datetime64[D]")
    hour = (wall - day) / HOUR
    weekend = (day.astype(np.int64) + 3) % 7 >= 5
    weather = np.interp(
        np.arange(len(times)),
        np.arange(0, len(times) + 720, 720 // step * 24),
        random.normal(0, 0.03, len(times))[: len(np.arange(0, len(times) + 720, 720 // step * 24))],
    )
    shape = 0.22 * np.sin((hour - 9) * np.pi / 12) + 0.08 * np.sin((hour - 4) * np.pi / 6)
    season = 0.1 * np.cos((day - day.astype("datetime64[Y]")).astype(float) * 2 * np.pi / 365)
    noise = random.normal(0, 0.006, len(times))
    value = level * np.exp(shape * np.where(weekend, 0.6, 1.0) - 0.1 * weekend + season + weather + noise)
    published = times + minutes(step) + 2 * HOUR
    return rows(
        place.code, variable, times, value=np.round(value, digits), published_at=published, resolution=minutes(step)
    )


def only(frame: pl.DataFrame, day: date, place: BiddingZone = DK_1) -> pl.Expr:
    return pl.col("valid_time").dt.convert_time_zone(place.local_tz).dt.date() == day


@settings(max_examples=25)
@given(
    code=zone_codes(),
    step=st.sampled_from([60, 30, 15, 5]),
    level=st.sampled_from([20.0, 300.0, 4_000.0, 80_000.0]),
    first=st.dates(date(2008, 1, 1), date(2029, 10, 1)),
    weeks=st.integers(3, 6),
    seed=st.integers(0, 1000),
)
def test_sound_days_of_any_zone_resolution_level_and_date_are_complete(code, step, level, first, weeks, seed):  # noqa: PLR0917
    place = zone(code)
    last = first + timedelta(weeks=weeks)
    frame = sound(place, start=first, end=last, step=step, level=level, seed=seed)
    judgement = judge(frame, zone=place, start=first, end=last)
    wrong = judgement.days.filter(pl.col("verdict") != "complete")
    assert wrong.select("day", "detail").rows() == []
    assert (judgement.days["expected"] == judgement.days["received"]).all()
    assert judgement.days.height == 7 * weeks
    assert judgement.doubtful.height == 0


@pytest.mark.parametrize("step", [60, 30, 15, 5])
def test_days_of_23_and_25_hours_are_complete_with_so_many(step):
    for day in clock_changes(DK_1, 2024):
        start, end = day - 21 * DAY, day + 3 * DAY
        frame = sound(DK_1, start=start, end=end, step=step)
        judgement = judge(frame, zone=DK_1, start=start, end=end)
        assert judgement.days["verdict"].unique().to_list() == ["complete"]
        hours = 23 if day.month == 3 else 25
        assert judgement.days.filter(pl.col("day") == day)["expected"].item() == hours * 60 // step


def test_a_first_day_without_any_history_is_complete_and_nothing_is_invented():
    day = date(2024, 5, 6)
    judgement = judge(sound(DK_1, start=day, end=day + DAY), zone=DK_1, start=day, end=day + DAY)
    assert judgement.days["verdict"].to_list() == ["complete"]
    assert judgement.doubtful.schema == DOUBTFUL


def test_days_are_judged_the_same_as_a_batch_and_one_by_one_where_they_are_sound():
    start, end = date(2024, 2, 1), date(2024, 4, 10)
    frame = sound(DK_1, start=start, end=end)
    for day in [date(2024, 3, 4), date(2024, 3, 9), date(2024, 3, 31), date(2024, 4, 1)]:
        known = frame.filter(pl.col("valid_time") < pl.lit(midnight(day + DAY, DK_1)).dt.replace_time_zone("UTC"))
        new = known.filter(only(known, day))
        live = judge(new, zone=DK_1, start=day, end=day + DAY, history=known.join(new, on="valid_time", how="anti"))
        assert live.days["verdict"].to_list() == ["complete"]
    assert judge(frame, zone=DK_1, start=start, end=end).days["verdict"].unique().to_list() == ["complete"]


def test_intervals_that_are_not_over_are_not_due_and_days_without_any_are_not_judged():
    start, end = date(2024, 2, 1), date(2024, 3, 1)
    frame = sound(DK_1, start=start, end=end)
    now = utc(2024, 2, 20, 9, 30)
    known = frame.filter(pl.col("valid_time") + pl.col("resolution") <= now)
    judgement = judge(known, zone=DK_1, start=start, end=end, now=now)
    assert judgement.days["day"].to_list()[-1] == date(2024, 2, 20)
    assert judgement.days.select("expected", "received").row(-1) == (10, 10)
    assert judgement.days["verdict"].unique().to_list() == ["complete"]


def test_a_day_without_a_row_is_empty_and_one_with_a_gap_is_partial_and_names_it():
    start, end = date(2024, 2, 1), date(2024, 3, 1)
    frame = sound(DK_1, start=start, end=end)
    frame = frame.filter(~only(frame, date(2024, 2, 14)))
    frame = frame.filter(~pl.col("valid_time").is_between(utc(2024, 2, 20, 5), utc(2024, 2, 20, 7)))
    days = judge(frame, zone=DK_1, start=start, end=end).days
    wrong = days.filter(pl.col("verdict") != "complete").select("day", "verdict", "expected", "received", "detail")
    assert wrong.rows() == [
        (date(2024, 2, 14), "empty", 24, 0, "empty: none of 24 intervals"),
        (date(2024, 2, 20), "partial", 24, 21, "partial: 3 of 24 missing (2024-02-20 05:00Z to 08:00Z)"),
    ]


def test_a_period_without_any_data_is_empty_by_the_hour():
    judgement = judge(
        sound(DK_1, start=date(2024, 1, 1), end=date(2024, 1, 2)).clear(),
        zone=DK_1,
        start=date(2024, 3, 30),
        end=date(2024, 4, 2),
    )
    assert judgement.days.schema == DAYS
    assert judgement.days["expected"].to_list() == [24, 23, 24]
    assert judgement.days["verdict"].to_list() == ["empty"] * 3


def test_the_worst_verdict_comes_first_and_the_doubtful_rows_are_rows_of_the_period():
    start, end = date(2024, 2, 1), date(2024, 3, 15)
    frame = sound(DK_1, start=start, end=end)
    day = date(2024, 3, 5)
    value = pl.when(only(frame, day)).then(pl.col("value") * 1000).otherwise("value")
    frame = frame.with_columns(value=value).filter(pl.col("valid_time") != utc(2024, 3, 5, 12))
    judgement = judge(frame, zone=DK_1, start=day - DAY, end=end)
    row = judgement.days.filter(pl.col("day") == day).row(0, named=True)
    assert (row["verdict"], row["verdicts"]) == ("unit change", ["unit change", "partial"])
    assert judgement.doubtful.height == 23
    assert judgement.doubtful.drop("reason").equals(frame.filter(only(frame, day)).sort("valid_time"))
    assert judgement.doubtful["reason"].unique().item().startswith("unit change: about 1,0")


@pytest.mark.parametrize("factor", [1000.0, 0.001, 4.0, 0.25])
@pytest.mark.parametrize("weeks", [1, 3, 8])
def test_a_unit_that_stays_changed_is_found_from_its_first_interval_to_its_last(factor, weeks):
    start, end = date(2023, 9, 1), date(2024, 3, 1)
    frame = sound(DK_1, start=start, end=end)
    first = utc(2023, 11, 7, 10)
    last = first + timedelta(weeks=weeks)
    changed = pl.col("valid_time").is_between(first, last, closed="left")
    frame = frame.with_columns(value=pl.when(changed).then(pl.col("value") * factor).otherwise("value"))
    doubtful = judge(frame, zone=DK_1, start=start, end=end).doubtful
    assert doubtful["valid_time"].to_list() == frame.filter(changed)["valid_time"].to_list()
    assert doubtful["reason"].str.contains("unit change").all()


def test_a_unit_that_changed_for_good_is_found_day_by_day_where_the_faulty_days_were_set_aside():
    start = date(2024, 1, 1)
    frame = sound(DK_1, start=start, end=start + 60 * DAY)
    history = frame.filter(pl.col("valid_time") < utc(2024, 2, 10))
    for day in range(42, 58):
        new = frame.filter(only(frame, start + day * DAY)).with_columns(pl.col("value") * 1000)
        judgement = judge(new, zone=DK_1, start=start + day * DAY, end=start + (day + 1) * DAY, history=history)
        assert judgement.days["verdict"].to_list() == ["unit change"]


def test_a_unit_that_changes_to_and_fro_is_found_each_time():
    start, end = date(2023, 1, 1), date(2024, 3, 1)
    frame = sound(DK_1, start=start, end=end)
    changed = pl.any_horizontal(
        pl.col("valid_time").is_between(utc(2023, month, 3, 10), utc(2023, month, 15, 3)) for month in range(2, 13)
    )
    frame = frame.with_columns(value=pl.when(changed).then(pl.col("value") * 1000).otherwise("value"))
    doubtful = judge(frame, zone=DK_1, start=start, end=end).doubtful
    assert doubtful["valid_time"].to_list() == frame.filter(changed)["valid_time"].to_list()


@pytest.mark.parametrize("factor", [0.5, 0.7, 1.8])
def test_a_load_that_halves_or_nearly_doubles_for_good_is_the_zones_own(factor):
    start, end = date(2023, 9, 1), date(2024, 3, 1)
    frame = sound(DK_1, start=start, end=end)
    later = pl.col("valid_time") >= utc(2023, 11, 7, 23)
    frame = frame.with_columns(value=pl.when(later).then(pl.col("value") * factor).otherwise("value"))
    judgement = judge(frame, zone=DK_1, start=start, end=end)
    assert judgement.days.filter(pl.col("verdict") != "complete").height <= 8


def test_values_that_cannot_be_are_implausible():
    start, end = date(2024, 2, 1), date(2024, 3, 1)
    frame = sound(DK_1, start=start, end=end)
    bad = {utc(2024, 2, 15, 3): np.nan, utc(2024, 2, 16, 3): np.inf, utc(2024, 2, 17, 3): 0.0, utc(2024, 2, 18, 3): -3}
    bad |= {utc(2024, 2, 19, 3): 9e5, utc(2024, 2, 20, 3): 1.0}
    value = pl.col("valid_time").replace_strict(bad, default=pl.col("value"), return_dtype=pl.Float64())
    judgement = judge(frame.with_columns(value=value), zone=DK_1, start=start, end=end)
    assert judgement.doubtful["valid_time"].to_list() == list(bad)
    assert set(judgement.days.filter(pl.col("day") >= date(2024, 2, 15)).head(6)["verdict"]) == {"implausible"}


def test_small_zones_that_round_to_whole_megawatts_may_stand_still_at_night():
    start, end = date(2024, 2, 1), date(2024, 4, 1)
    for step in (60, 15):
        frame = sound(DK_1, start=start, end=end, level=20.0, step=step, digits=0)
        assert (np.diff(frame["value"].to_numpy()) == 0).mean() > 0.2
        judgement = judge(frame, zone=DK_1, start=start, end=end)
        assert "flat" not in set(judgement.days["verdicts"].explode())


def test_a_tail_filled_with_the_last_value_is_flat_to_its_last_interval():
    start, end = date(2024, 2, 1), date(2024, 3, 1)
    frame = sound(DK_1, start=start, end=end, step=15)
    tail = pl.col("valid_time").is_between(utc(2024, 2, 20, 18), utc(2024, 2, 20, 22, 45))
    value = frame.filter(pl.col("valid_time") == utc(2024, 2, 20, 18))["value"].item()
    judgement = judge(
        frame.with_columns(value=pl.when(tail).then(value).otherwise("value")), zone=DK_1, start=start, end=end
    )
    doubtful = judgement.doubtful.filter(pl.col("reason").str.contains("flat"))
    assert (doubtful["valid_time"][0], doubtful["valid_time"][-1]) == (utc(2024, 2, 20, 18), utc(2024, 2, 20, 22, 45))


def test_only_the_latest_vintage_is_judged_and_only_rows_of_its_value_are_doubtful():
    start, end = date(2024, 2, 1), date(2024, 3, 1)
    frame = sound(DK_1, start=start, end=end)
    at = pl.col("valid_time") == utc(2024, 2, 20, 12)
    wrong = frame.filter(at).with_columns(value=pl.col("value") * 2)
    mended = frame.filter(at).with_columns(published_at=pl.col("published_at") + DAY)
    corrected = judge(pl.concat([frame.filter(~at), wrong, mended]), zone=DK_1, start=start, end=end)
    assert corrected.doubtful.height == 0
    spoilt = wrong.with_columns(published_at=pl.col("published_at") + DAY)
    judgement = judge(pl.concat([frame, spoilt]), zone=DK_1, start=start, end=end)
    assert judgement.doubtful.drop("reason").equals(spoilt)


def test_other_zones_and_variables_are_passed_over_and_forecasts_can_be_judged():
    start, end = date(2024, 2, 1), date(2024, 3, 1)
    operator = sound(DK_1, start=start, end=end, variable=TSO_FORECAST)
    others = [sound(zone("DK_2"), start=start, end=end), operator.with_columns(value=-pl.col("value"))]
    load = sound(DK_1, start=start, end=end)
    alone = judge(load, zone=DK_1, start=start, end=end)
    together = judge(pl.concat([load, *others]), zone=DK_1, start=start, end=end)
    assert together.days.equals(alone.days)
    judged = judge(operator, zone=DK_1, variable=TSO_FORECAST, start=start, end=end).days
    assert (judged["variable"].unique().item(), judged["verdict"].unique().item()) == (TSO_FORECAST, "complete")


def test_a_resolution_that_changes_at_midnight_or_at_noon_leaves_every_day_complete():
    start, end = date(2024, 2, 1), date(2024, 3, 20)
    hourly, quarters = (sound(DK_1, start=start, end=end, step=step) for step in (60, 15))
    for change in (utc(2024, 2, 28, 23), utc(2024, 2, 29, 11)):
        mixed = pl.concat(
            [hourly.filter(pl.col("valid_time") < change), quarters.filter(pl.col("valid_time") >= change)]
        )
        judgement = judge(mixed, zone=DK_1, start=start, end=end)
        assert judgement.days["verdict"].unique().to_list() == ["complete"]
        assert judgement.days["expected"].unique().sort().to_list() == [24, 96]
    spiked = pl.when(pl.col("valid_time") == utc(2024, 3, 10, 12)).then(pl.col("value") * 1.4).otherwise("value")
    assert judge(mixed.with_columns(value=spiked), zone=DK_1, start=start, end=end).doubtful.height == 1


def test_judging_says_what_is_wrong_with_an_empty_period():
    frame = sound(DK_1, start=date(2024, 1, 1), end=date(2024, 1, 2))
    with pytest.raises(ConfigError, match="no day from 2024-01-02 to 2024-01-02"):
        judge(frame, zone=DK_1, start=date(2024, 1, 2), end=date(2024, 1, 2))


def test_the_input_is_left_alone_and_its_order_does_not_matter():
    start, end = date(2024, 2, 1), date(2024, 3, 1)
    frame = sound(DK_1, start=start, end=end).with_columns(
        value=pl.when(pl.col("valid_time") == utc(2024, 2, 20, 12)).then(9000.0).otherwise("value")
    )
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1)
    before = shuffled.clone()
    one, other = judge(frame, zone=DK_1, start=start, end=end), judge(shuffled, zone=DK_1, start=start, end=end)
    assert one.days.equals(other.days)
    assert one.doubtful.equals(other.doubtful)
    assert one.doubtful.height == 1
    assert shuffled.equals(before)


def test_verdicts_are_ordered_from_the_worst_to_complete():
    assert [str(each) for each in VERDICTS] == [
        "empty",
        "unit change",
        "shifted clock",
        "implausible",
        "flat",
        "spike",
        "partial",
        "complete",
    ]
    assert isinstance(utc(2024, 1, 1), datetime)
