"""The demo is as the Denmark of 2015-2018 was: level, shape, holidays, memory, temperature, how hard it is to forecast.

Targets and tolerances are statistics of the real files. Where those are at hand (``../shared/data``), they pass the
same tests: what is measured here is what was measured there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import Floats
from gridcast.market.days import Times, local_wall
from gridcast.market.daytypes import day_types
from gridcast.market.zones import zone
from gridcast.sources.demo import Variant, observations

FILES = Path(__file__).resolve().parents[2].parent / "shared" / "data"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
COPENHAGEN = "Europe/Copenhagen"

# Faults of the files, UTC, and a dip of DK_1 that is none of the demand's.
FAULTS = {
    "2015-01-14": (14,),
    "2015-11-30": (14,),
    "2016-12-15": (6, 7, 8),
    "2016-12-22": (12,),
    "2017-05-08": (6, 7),
    "2017-06-19": (9, 10),
    "2017-10-03": (6,),
    "2017-10-10": (7,),
    "2018-01-17": (8,),
    "2018-02-06": (12,),
    "2018-03-22": (8,),
    "2018-09-11": (10,),
    "2018-04-10": (7, 8, 9),
}

# Mean of each local hour on ordinary weekdays, Saturdays and Sundays / mean of the year.
PROFILES = {
    "DK": """
        .804 .775 .762 .764 .780 .839 .992 1.152 1.214 1.225 1.243 1.235
        1.210 1.205 1.181 1.148 1.157 1.226 1.205 1.142 1.078 1.020 .947 .867
        .786 .749 .730 .724 .724 .737 .781 .856 .936 .989 1.014 1.009
        .992 .977 .963 .958 .987 1.062 1.065 1.006 .955 .913 .866 .811
        .761 .728 .709 .704 .705 .714 .749 .811 .890 .945 .973 .979
        .971 .962 .955 .954 .990 1.085 1.092 1.040 .987 .938 .876 .813
    """,
    "DK_1": """
        .829 .806 .795 .797 .815 .870 1.017 1.166 1.223 1.223 1.245 1.239
        1.208 1.211 1.185 1.149 1.154 1.215 1.187 1.125 1.069 1.014 .950 .881
        .785 .754 .739 .734 .739 .753 .795 .868 .939 .978 .994 .986
        .970 .954 .945 .940 .967 1.036 1.030 .968 .923 .885 .844 .796
        .751 .725 .709 .706 .708 .719 .755 .814 .882 .924 .944 .945
        .937 .928 .924 .925 .958 1.054 1.053 1.000 .952 .908 .858 .809
    """,
    "DK_2": """
        .794 .759 .743 .744 .757 .815 .959 1.102 1.166 1.189 1.206 1.200
        1.190 1.179 1.162 1.145 1.162 1.227 1.214 1.150 1.082 1.018 .941 .860
        .802 .762 .741 .734 .729 .739 .779 .854 .939 1.004 1.039 1.041
        1.035 1.027 1.014 1.009 1.038 1.106 1.116 1.058 1.004 .959 .913 .854
        .799 .760 .736 .729 .724 .730 .762 .825 .907 .974 1.014 1.023
        1.019 1.012 1.005 1.005 1.038 1.119 1.131 1.082 1.023 .966 .895 .823
    """,
}
# Mean of each local hour on ordinary weekdays / mean of the season, and that mean / mean of the year.
SEASONS = {
    "winter": (
        (12, 1, 2),
        1.112,
        ".789 .762 .751 .754 .774 .836 .993 1.159 1.210 1.209 1.219 1.207 "
        "1.178 1.173 1.153 1.132 1.168 1.259 1.230 1.150 1.073 1.003 .923 .847",
    ),
    "summer": (
        (6, 7, 8),
        0.916,
        ".823 .787 .771 .770 .776 .818 .952 1.110 1.195 1.226 1.256 1.255 "
        "1.234 1.232 1.205 1.164 1.148 1.192 1.168 1.106 1.051 1.012 .965 .891",
    ),
}
MONTHS = (1.116, 1.109, 1.068, 0.965, 0.928, 0.935, 0.878, 0.933, 0.952, 0.995, 1.069, 1.060)
WEEKDAYS = (1.033, 1.054, 1.058, 1.051, 1.016, 0.901, 0.888)

# Mean of the day / mean of the same weekday in the four weeks before and after, special days left out of those.
FACTORS = {
    "New Year's Day": 0.806,
    "01-02": 0.933,
    "05-01": 0.945,
    "06-05": 0.914,
    "Maundy Thursday": 0.872,
    "Good Friday": 0.860,
    "Easter Saturday": 0.978,
    "Easter Sunday": 0.972,
    "Easter Monday": 0.850,
    "Great Prayer Day": 0.878,
    "Ascension Day": 0.839,
    "Friday after Ascension": 0.887,
    "Pentecost Monday": 0.844,
    "12-23": 0.928,
    "12-24": 0.855,
    "Christmas Day": 0.804,
    "Second Day of Christmas": 0.811,
    "12-27": 0.876,
    "12-28": 0.891,
    "12-29": 0.896,
    "12-30": 0.923,
    "12-31": 0.877,
}


@dataclass(frozen=True)
class Load:
    """Load by local day and hour [D, 24], NaN where there is none; the first of an hour that comes twice."""

    days: Times
    mw: Floats

    @classmethod
    def of(cls, utc: Times, values: Floats) -> Load:
        wall = local_wall(utc, COPENHAGEN)
        days = wall.astype("datetime64[D]")
        mw = np.full((int((days[-1] - days[0]).astype(int)) + 1, 24), np.nan)
        hours = (wall - days).astype("timedelta64[h]").astype(int)
        mw[(days - days[0]).astype(int)[::-1], hours[::-1]] = values[::-1]
        return cls(days[0] + np.arange(len(mw)), mw)

    def during(self, year: int) -> Load:
        here = self.days.astype("datetime64[Y]") == np.datetime64(str(year))
        return Load(self.days[here], self.mw[here])

    @property
    def month(self):
        return self.days.astype("datetime64[M]").astype(int) % 12 + 1

    @property
    def weekday(self):
        return (self.days.astype(int) + 3) % 7

    @property
    def mean(self) -> float:
        return float(np.nanmean(self.mw))

    @property
    def daily(self) -> Floats:
        return np.nanmean(self.mw, axis=1)

    @property
    def special(self):
        """Holidays, half holidays, bridge days and Christmas."""
        types = day_types(zone("DK_1"), self.days)
        named = types["holiday"].is_not_null() | types["special"].is_not_null()
        return (named | types["bridge"] | types["christmas"]).to_numpy()

    def profile(self, here) -> Floats:
        return np.nanmean(self.mw[here & ~self.special], axis=0)

    def autocorrelation(self, hours: int) -> float:
        return correlation(self.mw.reshape(-1)[hours:], self.mw.reshape(-1)[:-hours])

    def naive(self, days: int) -> float:
        """Error of the same local hour so many days before, MAPE in per cent."""
        return float(100 * np.nanmean(np.abs(self.mw[days:] - self.mw[:-days]) / self.mw[days:]))


def correlation(left: Floats, right: Floats) -> float:
    both = np.isfinite(left) & np.isfinite(right)
    return float(np.corrcoef(left[both], right[both])[0, 1])


@cache
def table(code: str, *, variant: Variant = Variant.DENMARK_2015_2018, seed: int = 7) -> pl.DataFrame:
    return observations(
        zone(code), start=date(2015, 1, 1), end=date(2019, 1, 1), fetched_at=NOW, variant=variant, seed=seed
    )


def series(frame: pl.DataFrame, variable: str = "load") -> tuple[Times, Floats]:
    rows = frame.filter(pl.col("variable") == variable)
    return rows["valid_time"].dt.replace_time_zone(None).to_numpy(), rows["value"].to_numpy()


@cache
def demo(code: str, *, variant: Variant = Variant.DENMARK_2015_2018, seed: int = 7) -> Load:
    if code != "DK":
        return Load.of(*series(table(code, variant=variant, seed=seed)))
    west, east = (demo(part, variant=variant, seed=seed) for part in ("DK_1", "DK_2"))
    return Load(west.days, west.mw + east.mw)


@cache
def files(code: str) -> Load:
    path = FILES / ("DK_load_2015_2018.csv.gz" if code == "DK" else f"{code}_load_2018.csv.gz")
    if not path.exists():
        pytest.skip("the real Danish files are not beside this checkout")
    frame = pl.read_csv(path).with_columns(pl.col("ts_utc").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us"))
    utc, values = frame["ts_utc"].to_numpy(), frame["load_mw"].cast(pl.Float64).to_numpy().copy()
    faults = [f"{day}T{hour:02}" for day, hours in FAULTS.items() for hour in hours]
    values[np.isin(utc, np.array(faults, "datetime64[us]"))] = np.nan
    load = Load.of(utc, values)
    whole = load.days < np.datetime64("2019-01-01")  # the last UTC hour is already 2019
    return Load(load.days[whole], load.mw[whole])


@pytest.fixture(params=["demo", "files"])
def load(request):
    """Denmark's load by zone: the synthetic one, and the real one where it is at hand."""
    return demo if request.param == "demo" else files


# --- level and shape -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "mean", "std"), [("DK", 3740, 750), ("DK_1", 2315, 440), ("DK_2", 1519, 317)])
def test_mean_and_spread_are_those_of_denmark(load, code, mean, std):
    measured = load(code) if code == "DK" else load(code).during(2018)
    assert measured.mean == pytest.approx(mean, rel=0.02)
    assert np.nanstd(measured.mw) == pytest.approx(std, rel=0.05)


def test_extremes_and_distribution_are_those_of_denmark(load):
    mw = load("DK").mw[np.isfinite(load("DK").mw)]
    assert np.quantile(mw, [0.05, 0.5, 0.95]) == pytest.approx([2608, 3707, 4995], rel=0.02)
    assert 1950 < mw.min() < mw.max() < 6200
    centred = (mw - mw.mean()) / mw.std()
    assert np.mean(centred**3) == pytest.approx(0.14, abs=0.08)
    assert np.mean(centred**4) - 3 == pytest.approx(-0.95, abs=0.1)


@pytest.mark.parametrize("code", ["DK", "DK_1", "DK_2"])
def test_each_hour_of_weekdays_saturdays_and_sundays_has_its_share_of_the_mean(load, code):
    measured = load(code) if code == "DK" else load(code).during(2018)
    weekday = measured.weekday
    shape = np.array([measured.profile(here) for here in (weekday < 5, weekday == 5, weekday == 6)]) / measured.mean
    assert shape == pytest.approx(np.array(PROFILES[code].split(), float).reshape(3, 24), abs=0.03)


@pytest.mark.parametrize("season", SEASONS)
def test_winter_and_summer_weekdays_have_their_own_shape(load, season):
    months, level, hours = SEASONS[season]
    measured = load("DK")
    here = np.isin(measured.month, months)
    mean = np.nanmean(measured.mw[here])
    assert mean / measured.mean == pytest.approx(level, abs=0.03)
    assert measured.profile(here & (measured.weekday < 5)) / mean == pytest.approx(
        np.array(hours.split(), float), abs=0.035
    )


def test_weekdays_peak_at_five_in_winter_and_before_noon_in_summer(load):
    measured = load("DK")
    ordinary = (measured.weekday < 5) & ~measured.special & np.isfinite(measured.mw).all(axis=1)
    peak = np.argmax(np.where(np.isfinite(measured.mw), measured.mw, 0), axis=1)
    assert np.mean(peak[ordinary & np.isin(measured.month, (12, 1, 2))] == 17) > 0.65
    assert np.mean(np.isin(peak[ordinary & np.isin(measured.month, (6, 7, 8))], (9, 10, 11, 12))) > 0.8


def test_months_and_weekdays_have_their_share_of_the_mean(load):
    measured = load("DK")
    monthly = [np.nanmean(measured.mw[measured.month == month]) for month in range(1, 13)]
    assert np.array(monthly) / measured.mean == pytest.approx(np.array(MONTHS), abs=0.03)
    weekly = [np.nanmean(measured.mw[measured.weekday == weekday]) for weekday in range(7)]
    assert np.array(weekly) / measured.mean == pytest.approx(np.array(WEEKDAYS), abs=0.01)


def test_industry_closes_in_the_last_weeks_of_july(load):
    measured = load("DK")
    week = pl.Series(measured.days).dt.week().to_numpy()
    weekdays = (measured.weekday < 5) & ~measured.special
    mean = np.nanmean(measured.mw[measured.weekday < 5])
    shares = [np.nanmean(measured.mw[weekdays & (week == number)]) / mean for number in (28, 29, 30, 31)]
    assert shares == pytest.approx([0.898, 0.842, 0.835, 0.870], abs=0.03)


def factors(measured: Load) -> dict[str, float]:
    daily, special, weeks = measured.daily, measured.special, np.array([-28, -21, -14, -7, 7, 14, 21, 28])
    names = day_types(zone("DK_1"), measured.days)["holiday"].fill_null("").to_numpy()
    dates = np.array([str(day)[5:] for day in measured.days])

    def factor(here) -> float:
        ratios = []
        for row in np.flatnonzero(here):
            around = row + weeks
            around = around[(around >= 0) & (around < len(daily))]
            ratios.append(daily[row] / np.nanmean(daily[around[~special[around]]]))
        return float(np.mean(ratios))

    movable = {
        "Friday after Ascension": np.roll(names == "Ascension Day", 1),
        "Easter Saturday": np.roll(names == "Maundy Thursday", 2),
    }
    return {name: factor(movable[name] if name in movable else (dates == name) | (names == name)) for name in FACTORS}


def test_special_days_are_as_low_as_in_denmark():
    luck = [factors(demo("DK", seed=seed)) for seed in (7, 1, 2, 3)]
    measured = {name: float(np.mean([each[name] for each in luck])) for name in FACTORS}
    assert measured == pytest.approx(FACTORS, abs=0.03)


def test_special_days_of_the_real_files_are_as_low_as_the_table_says():
    assert factors(files("DK")) == pytest.approx(FACTORS, abs=0.03)


def test_christmas_eve_peaks_for_one_hour_at_five(load):
    measured = load("DK")
    eves = np.array([str(day)[5:] == "12-24" for day in measured.days])
    shape = np.nanmean(measured.mw[eves], axis=0) / measured.mean
    assert (np.argmax(measured.mw[eves], axis=1) == 17).all()
    assert shape[17] == pytest.approx(1.24, abs=0.06)
    assert shape[17] / shape[16] == pytest.approx(1.06, abs=0.03)
    assert shape[18] / shape[17] == pytest.approx(0.84, abs=0.03)


def test_great_prayer_day_is_a_holiday_until_2023_and_no_more():
    frame = observations(zone("DK_1"), start=date(2022, 1, 1), end=date(2026, 1, 1), fetched_at=NOW)
    load = Load.of(*series(frame))
    daily = dict(zip(load.days.tolist(), load.daily.tolist(), strict=True))

    def dip(*days: date) -> float:
        return float(
            np.mean([3 * daily[day] / sum(daily[day + timedelta(days=7 * n)] for n in (-2, -1, 1)) for day in days])
        )

    assert dip(date(2022, 5, 13), date(2023, 5, 5)) < 0.91
    assert dip(date(2024, 4, 26), date(2025, 5, 16)) > 0.95


# --- memory and predictability ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "hours", "target"),
    [(code, hours, target)
     for code, targets in {
         "DK": (0.956, 0.881, 0.750, 0.943, 0.923),
         "DK_1": (0.956, 0.833, 0.656, 0.921, 0.897),
         "DK_2": (0.960, 0.928, 0.864, 0.953, 0.937),
     }.items()
     for hours, target in zip((1, 24, 48, 168, 336), targets, strict=True)],
)  # fmt: skip
def test_the_load_remembers_yesterday_and_last_week_as_in_denmark(load, code, hours, target):
    assert load(code).autocorrelation(hours) == pytest.approx(target, abs=0.03 if hours == 24 else 0.02)


@pytest.mark.parametrize(
    ("code", "week", "two_days"),
    [("DK", (4.0, 4.9), (9.3, 11.4)), ("DK_1", (4.4, 5.5), (10.8, 13.1)), ("DK_2", (3.9, 4.9), (7.0, 8.6))],
)
def test_naive_forecasts_err_as_much_as_in_denmark(load, code, week, two_days):
    assert week[0] < load(code).naive(7) < week[1]
    assert two_days[0] < load(code).naive(2) < two_days[1]


def ridge(measured: Load, *, year: int = 2018) -> tuple[Floats, Floats]:
    """Errors of a plain day-ahead ridge and of D-7, MW [days of the year, 24].

    One ridge an hour on calendar, special days, D-2, D-7, D-14 and D-1 to 09:00, fitted on the years before.
    """
    mw = (
        pl.DataFrame(measured.mw).fill_nan(None).fill_null(strategy="forward").fill_null(strategy="backward").to_numpy()
    )
    mw, rows = mw / measured.mean, len(mw)
    angle = 2 * np.pi * pl.Series(measured.days).dt.ordinal_day().to_numpy() / 365.25
    waves = [wave(order * angle) for order in (1, 2, 3) for wave in (np.cos, np.sin)]
    weekdays = [measured.weekday == number for number in range(7)]
    off = measured.special
    calendar = [*waves, *weekdays, off, off & (weekdays[5] | weekdays[6])]
    calendar += [wave * (measured.weekday < 5) for wave in waves[:4]]

    def before(days: int, what: Floats) -> Floats:
        return what[np.maximum(np.arange(rows) - days, 0)]

    shared = np.column_stack([*calendar, *(before(days, off) for days in (2, 7, 14)), before(1, mw)[:, :9]])
    shared = np.column_stack([shared, before(2, mw).mean(1), before(7, mw).mean(1), before(8, mw)[:, :9].mean(1)])
    test = measured.days.astype("datetime64[Y]") == np.datetime64(str(year))
    train = ~test & (np.arange(rows) >= 14)
    errors = np.zeros((test.sum(), 24))
    for hour in range(24):
        inputs = np.column_stack([shared, *(before(days, mw[:, hour]) for days in (2, 7, 14))]).astype(float)
        inputs = (inputs - inputs[train].mean(0)) / (inputs[train].std(0) + 1e-9)
        level = mw[train, hour].mean()
        penalty = np.eye(inputs.shape[1])
        weights = np.linalg.solve(
            inputs[train].T @ inputs[train] + penalty, inputs[train].T @ (mw[train, hour] - level)
        )
        errors[:, hour] = inputs[test] @ weights + level
    actual = measured.mw[test]
    return errors * measured.mean - actual, before(7, measured.mw)[test] - actual


def test_a_plain_model_beats_last_week_by_as_much_as_in_denmark(load):
    errors, naive = ridge(load("DK"))
    assert 0.52 < np.nanmean(np.abs(errors)) / np.nanmean(np.abs(naive)) < 0.64


def test_the_errors_of_a_plain_model_are_as_in_denmark(load):
    errors, _ = ridge(load("DK"))
    day = Load(np.arange(len(errors)), errors)
    assert np.nanmean(np.abs(errors)) == pytest.approx(100, abs=12)
    memory = [day.autocorrelation(hours) for hours in (1, 3, 6, 12, 24, 48)]
    assert memory == pytest.approx([0.92, 0.73, 0.55, 0.37, 0.26, 0.05], abs=0.15)
    assert np.nanstd(np.nanmean(errors, axis=1)) == pytest.approx(101, abs=25)
    assert np.nanstd(errors[:, :5]) == pytest.approx(92, abs=15)
    assert np.nanstd(errors[:, 11]) == pytest.approx(157, abs=20)
    assert np.nanmean(errors**4) / np.nanmean(errors**2) ** 2 - 3 > 1.5, "tails heavier than a Gaussian's"


def test_the_zones_move_together_as_in_denmark(load):
    west, east = (load(code).during(2018).mw.reshape(-1) for code in ("DK_1", "DK_2"))
    assert correlation(west, east) == pytest.approx(0.918, abs=0.02)
    assert 0.78 < correlation(west[24:] - west[:-24], east[24:] - east[:-24]) < 0.90
    share = west / (west + east)
    assert np.nanmean(share) == pytest.approx(0.605, abs=0.006)
    assert np.nanstd(share) == pytest.approx(0.020, abs=0.003)


# --- temperature -----------------------------------------------------------------------------------------------------


def temperature() -> Load:
    west, east = (Load.of(*series(table(code), "temperature_2m")) for code in ("DK_1", "DK_2"))
    return Load(west.days, 0.605 * west.mw + 0.395 * east.mw)


def test_the_temperature_has_denmarks_climate():
    measured = temperature()
    assert measured.mean == pytest.approx(9.0, abs=0.7)
    assert -14 < np.nanmin(measured.mw) < -4
    assert 22 < np.nanmax(measured.mw) < 32
    angle = 2 * np.pi * pl.Series(measured.days).dt.ordinal_day().to_numpy() / 365.25
    waves = np.column_stack([np.ones(len(angle)), np.cos(angle), np.sin(angle)])
    fit, *_ = np.linalg.lstsq(waves, measured.daily)
    assert np.hypot(*fit[1:]) == pytest.approx(8.4, abs=0.8)
    anomaly = measured.daily - waves @ fit
    assert np.std(anomaly) == pytest.approx(2.5, abs=0.35)
    assert correlation(anomaly[1:], anomaly[:-1]) == pytest.approx(0.86, abs=0.05)
    clock = [np.ptp(np.nanmean(measured.mw[measured.month == month], axis=0)) for month in (1, 5, 12)]
    assert clock == pytest.approx([1.4, 6.0, 1.4], abs=1.0)


def test_a_degree_of_cold_costs_as_many_megawatts_as_in_denmark():
    measured, degrees = demo("DK"), temperature().daily
    smooth = (degrees + np.roll(degrees, 1)) / 2
    angle = 2 * np.pi * pl.Series(measured.days).dt.ordinal_day().to_numpy() / 365.25
    week = pl.Series(measured.days).dt.week().to_numpy()
    ordinary = ~measured.special & ((week < 27) | (week > 33))
    inputs = np.column_stack(
        [
            np.maximum(15 - smooth, 0),
            np.maximum(smooth - 18, 0),
            *(measured.weekday == number for number in range(7)),
            *(wave(order * angle) for order in (1, 2) for wave in (np.cos, np.sin)),
        ]
    )[ordinary]
    fit, *_ = np.linalg.lstsq(inputs, measured.daily[ordinary])
    assert 38 < fit[0] < 48
    without, *_ = np.linalg.lstsq(inputs[:, 2:], measured.daily[ordinary])
    residuals = [
        np.std(measured.daily[ordinary] - inputs[:, 2:] @ without),
        np.std(measured.daily[ordinary] - inputs @ fit),
    ]
    assert residuals == pytest.approx([120, 91], abs=20)


# --- the modern variant ----------------------------------------------------------------------------------------------


def added(months: tuple[int, ...]) -> Floats:
    """What the modern variant adds to the mean of each local hour, relative to the mean load [24]."""
    plain, modern = demo("DK"), demo("DK", variant=Variant.MODERN)
    here = np.isin(plain.month, months)
    return np.nanmean(modern.mw[here] - plain.mw[here], axis=0) / plain.mean


def test_the_modern_variant_has_a_solar_dip_at_noon_that_grows_with_the_sun():
    summer, equinox, winter = added((6, 7)), added((3, 9)), added((12, 1))
    assert summer[11:15].max() < -0.05
    assert summer[12] < equinox[12] - 0.01 < winter[12] - 0.02
    assert summer[12] < summer[3] - 0.1


def test_the_modern_variant_charges_cars_and_runs_boilers_at_night():
    night = added(tuple(range(1, 13)))
    assert night[0:5].min() > 0.03
    assert night[0:5].mean() > night[17:20].mean() + 0.03


def test_boilers_come_in_bursts_so_that_the_modern_variant_is_harder_to_forecast():
    plain, modern = demo("DK"), demo("DK", variant=Variant.MODERN)
    assert modern.naive(7) > 1.1 * plain.naive(7)
    errors = [np.nanmean(np.abs(ridge(each)[0])) for each in (plain, modern)]
    assert errors[1] > 1.15 * errors[0]
    boilers = modern.mw[:, 2] - plain.mw[:, 2]
    assert np.nanquantile(boilers, 0.9) > 2 * np.nanquantile(boilers, 0.1)
