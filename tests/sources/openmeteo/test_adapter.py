"""Open-Meteo end to end over real sockets: what is asked, what it costs, what comes of it."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from pydantic import SecretStr

from gridcast.contracts import observations
from gridcast.errors import ConfigError, RateLimited, Refused
from gridcast.market.days import delivery_window, issue_time
from gridcast.market.zones import zone
from gridcast.sources.endpoints import Endpoints
from gridcast.sources.fetched import DOUBTFUL, DUE, Answer
from gridcast.sources.openmeteo import OpenMeteo
from gridcast.sources.openmeteo.adapter import told_to_wait
from gridcast.sources.wire import Bucket, Kept, Wire
from openmeteo_answers import Service, mean, update_times, value
from scripted import Scripted, Send, VirtualClock, answer

HOUR = timedelta(hours=1)
DK_1 = zone("DK_1")
NOW = datetime(2026, 11, 23, 10, 20, tzinfo=UTC)
TOMORROW = delivery_window(DK_1, date(2026, 11, 24))
LAST_WEEK = delivery_window(DK_1, date(2026, 11, 17))


@contextmanager
def asking(service, folder, *, now=NOW, kept=None, **settings):
    """The adapter before a server that answers by ``service``; yields adapter and clock."""
    clock = VirtualClock(now)
    with Scripted(Send(service)) as server:
        wire = Wire("openmeteo", clock=clock, bucket=Bucket(folder / "bucket", clock=clock), kept=kept)
        yield OpenMeteo(wire, endpoints=Endpoints.simulated(server.url), clock=clock, **settings), clock


def test_tomorrow_is_the_newest_run_published_when_the_service_says(tmp_path):
    service = Service(meta=update_times(NOW - 3 * HOUR))
    with asking(service, tmp_path) as (adapter, _):
        found = adapter.fetch(DK_1, start=TOMORROW[0], end=TOMORROW[1])

    rows = found.observations
    assert rows.height == 24 * 5 == found.due.height
    assert rows["source"].unique().to_list() == ["openmeteo:forecast:ecmwf_ifs"]
    assert rows["published_at"].unique().to_list() == [NOW - 3 * HOUR + timedelta(minutes=10)]
    assert rows["published_at_basis"].unique().to_list() == ["reported"]
    for row in rows.iter_rows(named=True):
        assert row["value"] == pytest.approx(mean(DK_1, row["variable"], start=row["valid_time"]), abs=1e-9)
    assert [path for path, _ in service.asked] == [
        "/openmeteo/v1/forecast",
        "/openmeteo/data/ecmwf_ifs/static/meta.json",
    ]
    assert len(found.answers) == 2
    assert found.notes == ()
    assert (found.doubtful.schema, found.due.schema) == (DOUBTFUL, DUE)


@pytest.mark.parametrize(
    "meta",
    [
        None,
        {"error": True},
        update_times(NOW - timedelta(minutes=9)),
        update_times(NOW - 7 * HOUR),
        update_times(NOW + HOUR),
        update_times(NOW - 3 * HOUR, initialised=NOW),
        update_times(NOW - 3 * HOUR) | {"last_run_availability_time": "1763884800"},
        update_times(NOW - 3 * HOUR) | {"last_run_availability_time": 1e18},
    ],
    ids=["none", "an error", "just in", "overdue", "to come", "before its start", "a text", "no time"],
)
def test_a_run_whose_publication_is_in_doubt_counts_from_its_fetch(meta, tmp_path):
    with asking(Service(meta=meta), tmp_path) as (adapter, _):
        found = adapter.fetch(DK_1, start=TOMORROW[0], end=TOMORROW[1], variables=["temperature_2m"])

    assert found.observations["published_at"].unique().to_list() == [NOW]
    assert found.observations["published_at_basis"].unique().to_list() == ["observed"]
    assert any("counts as of its fetch" in note for note in found.notes)


def test_a_past_week_is_seven_runs_each_known_at_its_issue(tmp_path):
    start, end = LAST_WEEK[0], LAST_WEEK[0] + timedelta(days=5)
    service = Service()
    with asking(service, tmp_path) as (adapter, clock):
        found = adapter.fetch(DK_1, start=start, end=end, variables=["temperature_2m", "shortwave_radiation"])

    assert {path for path, _ in service.asked} == {"/openmeteo/single-runs/v1/forecast"}
    assert [params["run"] for _, params in service.asked] == [f"2026-11-{day}T00:00" for day in range(16, 21)]
    rows = found.observations
    assert rows.height == 5 * 24 * 2 == found.due.height
    assert rows["source"].unique().to_list() == ["openmeteo:single-runs:ecmwf_ifs"]
    for row in rows.iter_rows(named=True):
        day = row["valid_time"].astimezone(DK_1.market_zone).date()
        run = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
        assert row["published_at"] == run + timedelta(hours=7, minutes=30) <= issue_time(DK_1, day)
        expected = mean(DK_1, row["variable"], start=row["valid_time"], run=f"{run:%Y-%m-%dT%H:%M}")
        assert row["value"] == pytest.approx(expected, abs=1e-9)
    assert clock.slept == []


def test_previous_runs_bring_two_days_back_for_all_and_one_day_back_where_honest(tmp_path):
    start, end = delivery_window(DK_1, date(2024, 2, 10))
    service = Service()
    with asking(service, tmp_path) as (adapter, _):
        found = adapter.fetch(DK_1, start=start, end=end, variables=["temperature_2m"])

    rows = found.observations
    assert rows["source"].unique().to_list() == ["openmeteo:previous-runs:ecmwf_ifs"]
    by_hour = dict(rows.group_by("valid_time").len().iter_rows())
    assert [by_hour[start + n * HOUR] for n in range(24)] == [2] * 6 + [1] * 18
    assert (rows["published_at"] <= issue_time(DK_1, date(2024, 2, 10))).all()
    assert found.due.height == 24
    newest = rows.sort("published_at").unique("valid_time", keep="last").sort("valid_time")["value"].to_list()
    assert newest[0] == pytest.approx(mean(DK_1, "temperature_2m_previous_day1", start=start))
    assert newest[12] == pytest.approx(mean(DK_1, "temperature_2m_previous_day2", start=start + 12 * HOUR))
    (path, _), *more = service.asked
    assert (path, more) == ("/openmeteo/previous-runs/v1/forecast", [])


def test_reanalysis_is_observed_and_dated_six_days_late(tmp_path):
    start, end = datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)
    with asking(Service(), tmp_path) as (adapter, _):
        found = adapter.fetch(DK_1, start=start, end=end, variables=["temperature_2m_observed"])

    rows = found.observations
    assert rows["source"].unique().to_list() == ["openmeteo:archive:era5"]
    assert rows["variable"].unique().to_list() == ["temperature_2m_observed"]
    assert ((rows["published_at"] - rows["valid_time"]) == timedelta(days=6, hours=1)).all()
    assert rows["value"][30] == pytest.approx(mean(DK_1, "temperature_2m", start=start + 30 * HOUR))
    assert found.due["valid_time"].max() == NOW.replace(minute=0) - timedelta(days=6) - HOUR


def test_a_country_has_the_points_of_its_members(tmp_path):
    with asking(Service(), tmp_path) as (adapter, _):
        found = adapter.fetch(zone("DK"), start=LAST_WEEK[0], end=LAST_WEEK[1], variables=["temperature_2m"])
    first = found.observations.row(0, named=True)
    assert first["zone"] == "DK"
    run = "2026-11-16T00:00"
    assert first["value"] == pytest.approx(mean(zone("DK"), "temperature_2m", start=first["valid_time"], run=run))


def test_an_hour_that_one_point_lacks_is_missing_never_weighted_anew(tmp_path):
    hole = int((LAST_WEEK[0] + 5 * HOUR).timestamp())

    def worth(column, *, latitude, stamp, run=""):
        gone = stamp == hole and latitude == DK_1.weather_points[-1].latitude
        return None if gone else value(column, latitude=latitude, stamp=stamp, run=run)

    with asking(Service(worth=worth), tmp_path) as (adapter, _):
        found = adapter.fetch(
            DK_1, start=LAST_WEEK[0], end=LAST_WEEK[1], variables=["temperature_2m", "shortwave_radiation"]
        )
    missing = found.due.join(found.observations, on=["variable", "valid_time"], how="anti").sort("valid_time")
    # The stamp ends one hour and begins the next; radiation is that of the hour before it.
    assert sorted(missing.select("variable", "valid_time").rows()) == [
        ("shortwave_radiation", LAST_WEEK[0] + 4 * HOUR),
        ("temperature_2m", LAST_WEEK[0] + 4 * HOUR),
        ("temperature_2m", LAST_WEEK[0] + 5 * HOUR),
    ]


def test_a_run_that_is_not_kept_leaves_its_day_missing_and_says_so(tmp_path):
    service = Service(refused=("2026-11-17T00:00",))
    with asking(service, tmp_path) as (adapter, _):
        found = adapter.fetch(
            DK_1, start=LAST_WEEK[0], end=LAST_WEEK[0] + timedelta(days=3), variables=["temperature_2m"]
        )
    missing = found.due.join(found.observations, on="valid_time", how="anti")
    assert (found.due.height, missing.height) == (72, 24)
    assert any("2026-11-17 00:00" in note for note in found.notes)


def test_any_other_refusal_is_an_error_in_the_providers_words(tmp_path):
    said = b'{"error": true, "reason": "Cannot initialize WeatherVariable from invalid String value tmp"}'
    with (
        asking(lambda _: answer(400, said), tmp_path) as (adapter, _),
        pytest.raises(Refused, match="invalid String value tmp"),
    ):
        adapter.fetch(DK_1, start=LAST_WEEK[0], end=LAST_WEEK[1])


def test_a_period_within_hours_brings_the_whole_hours_that_start_in_it(tmp_path):
    with asking(Service(), tmp_path) as (adapter, _):
        start = LAST_WEEK[0] + timedelta(minutes=30)
        found = adapter.fetch(DK_1, start=start, end=start + 2 * HOUR, variables=["temperature_2m"])
    assert found.observations["valid_time"].to_list() == [LAST_WEEK[0] + HOUR, LAST_WEEK[0] + 2 * HOUR]
    assert found.due["valid_time"].to_list() == [LAST_WEEK[0] + HOUR, LAST_WEEK[0] + 2 * HOUR]


def test_a_key_leads_to_the_customer_hosts_and_is_seen_nowhere(tmp_path):
    key = "planted-key-1234567890"
    service = Service(meta=update_times(NOW - 3 * HOUR))
    kept = Kept(tmp_path / "kept")
    with asking(service, tmp_path, kept=kept, api_key=SecretStr(key)) as (adapter, _):
        found = adapter.fetch(DK_1, start=TOMORROW[0], end=TOMORROW[1])
        assert adapter._host("https://single-runs-api.open-meteo.com") == (
            "https://customer-single-runs-api.open-meteo.com"
        )
        assert adapter._host("https://customer-api.open-meteo.com") == "https://customer-api.open-meteo.com"
        assert key not in repr(adapter) + repr(vars(adapter))
    assert service.asked[0][1]["apikey"] == key
    assert "apikey" not in service.asked[1][1]
    assert key not in repr(found)
    assert all(key not in repr(each) for each in kept.answers("openmeteo"))
    assert not any(key.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_without_a_key_no_host_changes(tmp_path):
    with asking(Service(), tmp_path) as (adapter, _):
        assert adapter._host("https://api.open-meteo.com") == "https://api.open-meteo.com"


def test_the_free_budget_is_kept_and_a_long_back_fill_waits_for_it(tmp_path):
    service = Service()
    start = datetime(2026, 1, 1, 23, tzinfo=UTC)
    with asking(service, tmp_path) as (adapter, clock):
        adapter.fetch(DK_1, start=start, end=start + timedelta(days=60), variables=["temperature_2m"])
    calls = sum(len(params["latitude"].split(",")) for _, params in service.asked)
    assert calls == 360
    # 300 calls at once, then 300 a minute.
    assert 11 <= (clock.now() - NOW).total_seconds() <= 13


def test_kept_answers_read_as_they_were_fetched(tmp_path):
    kept = Kept(tmp_path / "kept")
    start, end = delivery_window(DK_1, date(2026, 11, 22))[0], TOMORROW[1]
    with asking(Service(meta=None), tmp_path, kept=kept) as (adapter, _):
        found = adapter.fetch(
            DK_1, start=start, end=end, variables=["temperature_2m", "temperature_2m_observed", "cloud_cover"]
        )
        again = [adapter.read(each, zone=DK_1) for each in kept.answers("openmeteo")]
        others = [adapter.read(each, zone=zone("DK_2")) for each in kept.answers("openmeteo")]
    inside = pl.col("valid_time").is_between(start, end, closed="left")
    replayed = observations(pl.concat(each.observations for each in again).filter(inside))
    assert replayed.equals(found.observations)
    assert replayed["source"].n_unique() == 3
    assert all(each.observations.is_empty() and each.notes for each in others)


def test_the_update_times_themselves_hold_no_weather(tmp_path):
    kept = Kept(tmp_path / "kept")
    with asking(Service(meta=update_times(NOW - 3 * HOUR)), tmp_path, kept=kept) as (adapter, _):
        adapter.fetch(DK_1, start=TOMORROW[0], end=TOMORROW[1], variables=["temperature_2m"])
        found = [adapter.read(each, zone=DK_1) for each in kept.answers("openmeteo")]
    assert sorted(each.observations.height for each in found) == [0, 24]


def limited(text: str) -> Answer:
    at = datetime(2026, 12, 31, 22, 15, 40, tzinfo=UTC)
    return Answer("openmeteo", "", {}, 429, {}, b'{"error":true,"reason":"' + text.encode() + b'"}', at, "")


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("Minutely API request limit exceeded. Please try again in one minute.", "2026-12-31T22:16:00"),
        ("Hourly API request limit exceeded. Please try again in the next hour.", "2026-12-31T23:00:00"),
        ("Daily API request limit exceeded. Please try again tomorrow.", "2027-01-01T00:00:00"),
        ("Monthly API request limit exceeded. Please try again next month.", "2027-01-01T00:00:00"),
        ("Too many concurrent requests", "2026-12-31T22:15:45"),
        ("The service is overloaded", None),
        ("Who knows", None),
    ],
)
def test_a_limit_in_words_is_an_instant(text, until):
    found = told_to_wait(limited(text))
    assert found == (None if until is None else datetime.fromisoformat(f"{until}+00:00"))


def test_a_minute_is_waited_for_and_a_day_is_not(tmp_path):
    (tmp_path / "day").mkdir()
    minutely = answer(429, b'{"error":true,"reason":"Minutely API request limit exceeded."}')
    daily = answer(429, b'{"error":true,"reason":"Daily API request limit exceeded."}')
    service = Service()
    replies = iter([minutely])
    with asking(lambda request: next(replies, None) or service(request), tmp_path) as (adapter, clock):
        found = adapter.fetch(DK_1, start=LAST_WEEK[0], end=LAST_WEEK[1], variables=["temperature_2m"])
        assert found.observations.height == 24
        assert clock.now() == NOW + timedelta(minutes=1)
    with (
        asking(lambda _: daily, tmp_path / "day") as (adapter, _),
        pytest.raises(RateLimited) as caught,
    ):
        adapter.fetch(DK_1, start=LAST_WEEK[0], end=LAST_WEEK[1])
    assert caught.value.until == datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "best_match"},
        {"model": "dwd_icon_seamless"},
        {"archive": "historical-forecast"},
        {"leads": ()},
        {"leads": (0,)},
        {"leads": (2, 2)},
        {"variables": ("tmp",)},
        {"variables": ()},
    ],
)
def test_wrong_settings_are_named(settings, tmp_path):
    clock = VirtualClock(NOW)
    wire = Wire("openmeteo", clock=clock, bucket=Bucket(tmp_path / "bucket", clock=clock))
    with pytest.raises(ConfigError):
        OpenMeteo(wire, endpoints=Endpoints(), clock=clock, **settings)


def test_an_empty_period_is_wrong_usage(tmp_path):
    with asking(Service(), tmp_path) as (adapter, _), pytest.raises(ConfigError, match="empty or has no time zone"):
        adapter.fetch(DK_1, start=NOW, end=NOW)
