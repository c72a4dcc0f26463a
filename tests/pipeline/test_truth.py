"""What `ingest` stores is what the provider has, interval for interval, and what it has not is named: with faults on.

The simulator's world is asked directly what is true, and what of it was public when each row was fetched.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gridcast import pipeline, settings, simulate
from gridcast.contracts import LOAD, TSO_FORECAST
from gridcast.market.days import instant
from gridcast.market.zones import zone
from gridcast.simulate import climate, energidata
from gridcast.sources.openmeteo.adapter import DEFAULT_VARIABLES
from gridcast.store.database import Store

DK_1 = zone("DK_1")
NOW = datetime(2024, 4, 3, 8, 20, tzinfo=UTC)
FIRST, LAST = date(2024, 3, 22), date(2024, 4, 5)  # a day of 23 hours among them
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), np.timedelta64(1, "s")
WORLD = simulate.World(revised=0.3, late=0.05, gaps=0.04)
SHAKY = [
    *(
        "status-503",
        "status-502",
        "status-408",
        "status-429",
        "limited-with-retry-after",
        "unavailable-with-retry-date",
    ),
    *("reset-before-headers", "reset-in-headers", "reset-at-byte", "closed-before-headers", "body-shorter"),
    *("cut-chunking", "truncated-gzip", "two-lengths"),
]
SEED = 7
CLIMATE = climate.Climate(WORLD)
MODEL = "ecmwf_ifs"
RUN_DELAY = timedelta(hours=7, minutes=30)
Key = tuple[str, datetime]


def ingest(
    source: str,
    *,
    home: Path,
    now: datetime = NOW,
    days: tuple[date, date] = (FIRST, LAST),
    variables: list[str] | None = None,
) -> tuple[pipeline.Account, pl.DataFrame, Store]:
    """An account, what is stored, and the store; half of the requests fail, and the first is one of them."""
    clock = simulate.VirtualClock(now)
    faults = simulate.Faults(SHAKY, rate=0.5, seed=SEED)
    store = Store(f"sqlite:///{home / 'gridcast.db'}")
    with simulate.running(WORLD, clock=clock, faults=faults) as url:
        found = settings.load().model_copy(update={"home": home, "simulator": url})
        with pipeline.providers([source], settings=found, clock=clock) as sources:
            start, end = pipeline.window(store, zone=DK_1, now=now, start=days[0], end=days[1])
            account = pipeline.ingest_live(
                store, sources, zone=DK_1, start=start, end=end, clock=clock, variables=variables
            )
        with urllib.request.urlopen(f"{url}/simulator/stats") as answer:
            assert sum(json.load(answer)["faults"].values()) > 0
    return account, store.observations(["DK_1"]), store


def utc(times: np.ndarray) -> Iterator[datetime]:
    return (each.astype("datetime64[us]").item().replace(tzinfo=UTC) for each in times)


def public(strip: simulate.world.Strip, *, at: datetime) -> dict[datetime, float]:
    shown = strip.as_of(at)
    here = np.isfinite(shown)
    return dict(zip(utc(strip.start[here]), shown[here].tolist(), strict=True))


def edges() -> tuple[datetime, datetime]:
    first, last = (datetime(day.year, day.month, day.day, tzinfo=DK_1.market_zone) for day in (FIRST, LAST))
    return first.astimezone(UTC), last.astimezone(UTC)


def true_power(variable: str, *, source: str, at: datetime) -> dict[datetime, float]:
    """What the provider has at that instant of a variable in MW."""
    begin, end = edges()
    if variable == TSO_FORECAST:
        return public(WORLD.forecast(DK_1, begin=begin, end=end), at=at)
    load = WORLD.load(DK_1, begin=begin, end=end)
    if source != "energidata":
        return public(load, at=at)
    if variable == LOAD:
        # Two hours after its end an hour is there; after nine days its better version is.
        last = dict(zip(utc(load.start), load.value[-1].tolist(), strict=True))
        known = {**public(load, at=at), **{t: v for t, v in last.items() if at - t - HOUR >= 9 * DAY}}
        return {start: value for start, value in known.items() if np.isfinite(value) and start + 3 * HOUR <= at}
    name, step, columns = {
        "load_realtime": (
            "ElectricityProdex5MinRealtime",
            5,
            ("Production", "Exchange", "Offshore", "Onshore", "Solar"),
        ),
        "load_settlement": ("ProductionConsumptionSettlement", 60, ("GrossConsumption",)),
    }[variable]
    times = np.arange(instant(begin - DAY), min(instant(end), instant(at)), np.timedelta64(step * 60_000_000, "us"))
    table = energidata.DATASETS[name].make(WORLD, "DK1", times, at)
    table = table.fill_nan(None)
    parts = [column for column in table.columns if column.startswith(columns)]
    values = table.select(pl.sum_horizontal(parts)).to_series()
    known = zip(utc(table[:, 0].to_numpy()), values.to_list(), strict=True)
    return {start: value for start, value in known if start >= begin}


def due(variable: str, *, source: str, at: datetime) -> set[datetime]:
    """The intervals that should be public at that instant, by the rules in the guide."""
    begin, end = edges()
    step = timedelta(minutes=5) if variable == "load_realtime" else HOUR
    lag = {"load_realtime": timedelta(minutes=10), "load_settlement": 8 * DAY}.get(variable, 2 * HOUR)
    starts = (begin + n * step for n in range((end - begin) // step))
    if variable == TSO_FORECAST:  # 10:00 on the day before; the window ends with tomorrow
        return set(starts)
    return {start for start in starts if start + step + lag <= at}


POWER = {
    "entsoe": [LOAD, TSO_FORECAST],
    "entsoe-files": [LOAD, TSO_FORECAST],
    "energidata": [LOAD, "load_realtime", "load_settlement"],
}


@pytest.mark.parametrize("source", POWER)
def test_the_store_ends_up_with_the_providers_truth_and_the_account_names_the_rest(source: str, tmp_path: Path) -> None:
    account, rows, store = ingest(source, home=tmp_path, variables=POWER[source])
    assert account.quarantined == 0
    assert set(rows["variable"]) == set(POWER[source])
    named: dict[str, set[datetime]] = {name: set() for name in POWER[source]}
    for each in account.missing:
        named[each.variable].add(each.start)
    for variable in POWER[source]:
        part = rows.filter(variable=variable)
        earliest, at = part["fetched_at"].min(), part["fetched_at"].max()
        truth = true_power(variable, source=source, at=at)
        assert truth == true_power(variable, source=source, at=earliest), "nothing was published meanwhile"
        assert part["valid_time"].is_unique().all()
        assert set(part["valid_time"]) == set(truth)
        assert part["value"].to_list() == pytest.approx([truth[t] for t in part["valid_time"]], rel=1e-9, abs=1e-4)
        withheld = due(variable, source=source, at=at) - set(truth)
        assert named[variable] == withheld
        assert bool(withheld) is (variable != TSO_FORECAST)
        gaps = store.coverage("DK_1", variable).missing
        step = part["resolution"][0]
        inside = {start + n * step for start, end in gaps for n in range((end - start) // step)}
        assert inside == {each for each in withheld if part["valid_time"][0] < each < part["valid_time"][-1]}
    assert account.requested == account.received + len(account.missing)
    store.close()


@cache
def stamps(source: str, variable: str, run: datetime, first: datetime, count: int) -> np.ndarray:
    """A run at the weather points for consecutive hours, as answered: [P, count]."""
    kind = climate.VARIABLES[variable]
    hours = instant(first) + np.arange(count) * np.timedelta64(3600 * SECOND, "us")
    runs = np.full(count, instant(run))
    return np.stack(
        [
            CLIMATE.forecast(
                (round(point.latitude, 4), round(point.longitude, 4)), variable, hours=hours, run=runs, model=MODEL
            ).round(kind.digits)
            for point in DK_1.weather_points
        ]
    )


def true_weather(row: dict[str, object]) -> float:
    """The zone's mean over the row's hour of the run that the row is of."""
    start, variable, source = row["valid_time"], str(row["variable"]), str(row["source"])
    assert isinstance(start, datetime)
    published, fetched = row["published_at"], row["fetched_at"]
    assert isinstance(published, datetime)
    assert isinstance(fetched, datetime)
    six = timedelta(hours=6)
    epoch = datetime(2020, 1, 1, tzinfo=UTC)

    def run_at(stamp: datetime) -> datetime:
        if source == f"openmeteo:single-runs:{MODEL}":
            return published - RUN_DELAY
        if source == f"openmeteo:forecast:{MODEL}":
            return epoch + (fetched - timedelta(hours=6, minutes=30) - epoch) // six * six
        (lead,) = [n for n in (1, 2) if epoch + (start + HOUR - n * DAY - epoch) // six * six + RUN_DELAY == published]
        return epoch + (stamp - lead * DAY - epoch) // six * six

    weights = np.array([point.weight for point in DK_1.weather_points])
    ends = [start + HOUR] if variable == "shortwave_radiation" else [start, start + HOUR]
    return float(np.mean([weights @ stamps(source, variable, run_at(end), end, 1)[:, 0] for end in ends]))


def hours(first: datetime, last: datetime) -> set[datetime]:
    return {first + n * HOUR for n in range((last - first) // HOUR)}


# Where the archive of previous runs begins: no run of 2023 is kept, and of a stamp's newest one a day or two back only
# what was out when its day was issued counts: until 05:00 UTC the one of the day before, else two days back.
BEGINS = datetime(2024, 1, 1, tzinfo=UTC)
TOO_YOUNG = hours(BEGINS + DAY + 5 * HOUR, BEGINS + 2 * DAY - HOUR)
INSTANTS = hours(BEGINS - HOUR, BEGINS + DAY) | TOO_YOUNG
MEANS = hours(BEGINS - HOUR, BEGINS + DAY - HOUR) | TOO_YOUNG


@pytest.mark.parametrize(
    ("days", "withheld"),
    [
        ((date(2024, 3, 29), date(2024, 4, 5)), set()),
        (
            (date(2023, 12, 30), date(2024, 1, 5)),
            {
                (name, each)
                for name in DEFAULT_VARIABLES
                for each in (MEANS if name == "shortwave_radiation" else INSTANTS)
            },
        ),
    ],
    ids=["runs and the newest", "the archive begins"],
)
def test_weather_is_the_run_that_it_says_and_what_no_archive_holds_is_named(
    days: tuple[date, date], withheld: set[Key], tmp_path: Path
) -> None:
    account, rows, store = ingest("openmeteo", home=tmp_path, days=days)
    assert account.quarantined == 0
    assert {(each.variable, each.start) for each in account.missing} == withheld
    assert rows.height > 300
    truth = [true_weather(row) for row in rows.iter_rows(named=True)]
    assert rows["value"].to_list() == pytest.approx(truth, abs=1e-6)
    store.close()
