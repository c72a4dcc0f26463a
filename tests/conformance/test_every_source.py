"""What every source keeps: a new adapter is a `Kind` in this file, and passes it.

Live adapters ask the grid simulator over loopback; the demo and a user's file are read by the same verb as on the
command line. A period is local days, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest

from gridcast import pipeline, settings, simulate
from gridcast.cli.options import SourceName
from gridcast.contracts import DOUBTFUL, LOAD, OBSERVATIONS, OBSERVED, TSO_FORECAST, observations
from gridcast.errors import BadAnswer, ConfigError, DataError, OutsideData, UnknownZone
from gridcast.market.days import at_wall_clock
from gridcast.market.zones import BiddingZone, zone
from gridcast.sources.fetched import DUE, Fetched, LiveSource
from gridcast.sources.wire import Kept

DK_1 = zone("DK_1")
NOW = datetime(2026, 11, 18, 8, 20, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
WORLD = simulate.World(late=0.0, revised=0.1)
WEATHER = {
    "temperature_2m": (-35, 45),
    "wind_speed_10m": (0, 60),
    "shortwave_radiation": (0, 1200),
    "cloud_cover": (0, 100),
    "relative_humidity_2m": (0, 100),
}
"""Plausible ranges in the units of the contract: °C, m/s, W/m², %."""

LAGS = {LOAD: 2 * HOUR, "load_realtime": timedelta(minutes=10), "load_settlement": 8 * DAY}
"""How long after its end an interval is due."""


@dataclass(frozen=True)
class Kind:
    """A source, what it offers of DK_1, and how its rows are labelled.

    ``steps`` are the variables and their resolutions, ``labels`` beginnings of ``source``, ``elsewhere`` a zone that
    it does not have (None: a file is of whatever zone its owner says), ``archive`` a day before it begins (None: it has
    every year), ``zones`` some that it has.
    """

    name: str
    steps: dict[str, timedelta]
    labels: tuple[str, ...]
    elsewhere: str | None
    archive: date | None
    live: bool = True
    zones: tuple[str, ...] = ("DK_1",)


HOURLY = {LOAD: HOUR, TSO_FORECAST: HOUR}
FIVE = timedelta(minutes=5)
KINDS = {
    kind.name: kind
    for kind in (
        Kind("demo", {LOAD: HOUR, "temperature_2m": HOUR}, ("demo:synthetic:",), "SE_3", None, live=False),
        Kind(
            "tabular",
            HOURLY | {f"temperature_2m{OBSERVED}": HOUR},
            ("tabular",),
            None,
            date(2010, 1, 1),
            live=False,
            zones=("DK_1", "FI"),
        ),
        Kind("entsoe", HOURLY, ("entsoe",), "VIC", date(2010, 1, 1), zones=("DK_1", "FI", "PT", "DE_LU")),
        Kind("entsoe-files", HOURLY, ("entsoe:files",), "GB", date(2010, 1, 1)),
        Kind(
            "energidata",
            {LOAD: HOUR, "load_realtime": FIVE, "load_settlement": HOUR},
            ("energidata",),
            "SE_3",
            date(2010, 1, 1),
            zones=("DK_1", "DK_2"),
        ),
        Kind(
            "openmeteo",
            dict.fromkeys((*WEATHER, f"temperature_2m{OBSERVED}"), HOUR),
            ("openmeteo:single-runs:", "openmeteo:forecast:", "openmeteo:previous-runs:", "openmeteo:archive:"),
            "NOWHERE",
            date(2010, 1, 1),
            zones=("DK_1", "FI"),
        ),
    )
}
LIVE = [name for name, kind in KINDS.items() if kind.live]
NOWHERE = BiddingZone("NOWHERE", "Nowhere", "DK", "Europe/Copenhagen", "Europe/Copenhagen", eic="10Y0000000000000")
"""A zone without weather points."""


@dataclass(frozen=True)
class Source:
    """A source that can be asked for local days of a zone."""

    kind: Kind
    home: Path
    clock: simulate.VirtualClock
    adapter: LiveSource | None

    def fetch(
        self, first: date, last: date, *, where: BiddingZone = DK_1, variables: list[str] | None = None
    ) -> Fetched:
        if self.adapter is not None:
            start, end = (at_wall_clock(day, time(0), tz=where.local_tz) for day in (first, last))
            names = list(self.kind.steps) if variables is None else variables
            return self.adapter.fetch(where, start=start, end=end, variables=names)
        file = None
        if self.kind.name == "tabular":
            file = self.home / "load.csv"
            if not file.exists():
                written(file, where)
        rows = pipeline.fetch(
            where, source=self.kind.name, file=file, start=first, end=last, fetched_at=self.clock.now()
        )
        return Fetched(rows, DUE.to_frame(), DOUBTFUL.to_frame())


def written(file: Path, where: BiddingZone) -> None:
    """A user's file: two years of the simulator's load and forecast up to now, and a temperature."""
    strips = [
        series(where, begin=NOW - 1000 * DAY, end=NOW - HOUR).value[-1] for series in (WORLD.load, WORLD.forecast)
    ]
    start = WORLD.load(where, begin=NOW - 1000 * DAY, end=NOW - HOUR).start
    columns = {"ts_utc": start, "load_mw": strips[0], "tso_forecast_mw": strips[1], "temperature_c": strips[0] % 30}
    pl.DataFrame(columns).with_columns(pl.col("ts_utc").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(file)


Open = Callable[..., Source]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as stack:

        def of(name: str, *, now: datetime = NOW) -> Source:
            clock = simulate.VirtualClock(now)
            if not KINDS[name].live:
                return Source(KINDS[name], tmp_path, clock, None)
            url = stack.enter_context(simulate.running(WORLD, clock=clock, limits=False))
            found = settings.load().model_copy(update={"home": tmp_path, "simulator": url})
            return Source(
                KINDS[name], tmp_path, clock, stack.enter_context(pipeline.provider(name, settings=found, clock=clock))
            )

        yield of


every_source = pytest.mark.parametrize("name", KINDS)
every_live_source = pytest.mark.parametrize("name", LIVE)


def test_every_source_of_the_command_line_is_in_this_suite() -> None:
    assert set(KINDS) == {each.value for each in SourceName} - {SourceName.AUTO.value}
    assert set(LIVE) == set(pipeline.LIVE)


def check(found: Fetched, *, kind: Kind, where: BiddingZone, window: tuple[date, date], now: datetime) -> None:
    """What holds of anything that a source hands on."""
    rows = found.observations
    assert rows.equals(observations(rows)), "valid Observations, sorted by their key"
    assert (found.due.schema, found.doubtful.schema) == (DUE, DOUBTFUL)
    start, end = (at_wall_clock(day, time(0), tz=where.local_tz) for day in window)
    for frame in (rows, found.due, found.doubtful):
        assert set(frame["variable"]) <= set(kind.steps)
        assert frame["valid_time"].is_between(start, end, closed="left").all()
        assert frame["resolution"].is_in([*kind.steps.values()]).all()
        stamps, steps = frame["valid_time"].to_physical(), frame["resolution"].to_physical()
        assert (stamps % steps == 0).all(), "on the grid of the resolution"
    assert not found.due.select("variable", "valid_time").is_duplicated().any()
    once = rows.select("variable", "valid_time", "published_at", "source")
    assert not once.is_duplicated().any()
    assert set(rows["zone"]) <= {where.code}
    assert all(label.startswith(kind.labels) for label in rows["source"].unique())
    assert (rows["fetched_at"] >= now).all()
    assert (rows["fetched_at"] <= now + HOUR).all()

    over = pl.col("valid_time") + pl.col("resolution")
    measured = pl.col("variable").str.starts_with("load") & (pl.col("variable") != TSO_FORECAST)
    measured |= pl.col("variable").str.ends_with(OBSERVED)
    assert rows.filter(measured & ((over > pl.col("fetched_at")) | (pl.col("published_at") < over))).is_empty()
    told = pl.col("published_at_basis") != "assumed"
    assert rows.filter(told & (pl.col("published_at") > pl.col("fetched_at"))).is_empty()
    tso = rows.filter(variable=TSO_FORECAST)
    if kind.name != "entsoe-files":  # reports the last update, which may be late
        assert (tso["published_at"] < tso["valid_time"]).all()
    due = found.due.filter(pl.col("variable").str.starts_with("load") & (pl.col("variable") != TSO_FORECAST))
    assert (due["valid_time"] + due["resolution"] <= now + HOUR).all()


@every_source
def test_rows_keep_the_contract_over_the_days_around_now(name: str, opened: Open) -> None:
    source = opened(name)
    for code in source.kind.zones if source.kind.live else ("DK_1",):
        now, window = source.clock.now(), (date(2026, 11, 5), date(2026, 11, 20))
        found = source.fetch(*window, where=zone(code))
        check(found, kind=source.kind, where=zone(code), window=window, now=now)
        assert set(found.observations["variable"]) == set(source.kind.steps)
        assert found.doubtful.is_empty()
        for variable, lag in LAGS.items() if source.kind.live else ():
            rows, due = (frame.filter(variable=variable) for frame in (found.observations, found.due))
            over = pl.col("valid_time") + pl.col("resolution") + lag
            public = rows.filter(over <= pl.col("fetched_at"))
            assert due["valid_time"].sort().equals(public["valid_time"].sort()), (code, variable)


@every_source
def test_values_are_in_the_units_of_the_contract(name: str, opened: Open) -> None:
    source = opened(name)
    rows = source.fetch(date(2026, 9, 1), date(2026, 9, 8)).observations
    for (variable,), part in rows.group_by("variable"):
        lowest, highest = part["value"].min(), part["value"].max()
        low, high = WEATHER.get(str(variable).removesuffix(OBSERVED), (1000, 4500))  # MW of western Denmark
        assert low <= lowest <= highest <= high, variable
        assert highest > low + 0.05 * (high - low), variable


@every_source
@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_a_day_is_as_long_as_the_clocks_make_it(name: str, day: date, hours: int, opened: Open) -> None:
    for code in KINDS[name].zones:
        source = opened(name)
        (source.home / "load.csv").unlink(missing_ok=True)
        where = zone(code)
        rows = source.fetch(day, day + DAY, where=where).observations
        start = at_wall_clock(day, time(0), tz=where.local_tz).astimezone(UTC)
        for variable, step in source.kind.steps.items():
            wanted = [start + n * step for n in range(hours * HOUR // step)]
            assert rows.filter(variable=variable)["valid_time"].unique().sort().to_list() == wanted, (code, variable)


@every_source
def test_asked_twice_it_says_the_same(name: str, opened: Open) -> None:
    source = opened(name)
    one, two = (source.fetch(date(2026, 9, 1), date(2026, 9, 4)) for _ in range(2))
    assert one.observations.height
    assert one.observations.drop("fetched_at").equals(two.observations.drop("fetched_at"))
    assert one.due.sort("variable", "valid_time").equals(two.due.sort("variable", "valid_time"))
    assert one.notes == two.notes


@every_source
def test_a_longer_period_holds_the_shorter_one(name: str, opened: Open) -> None:
    source = opened(name)
    short, long = (source.fetch(date(2026, 9, 2), date(2026, 9, 2 + days)).observations for days in (1, 4))
    inside = long.filter(pl.col("valid_time") <= short["valid_time"].max())
    assert inside.drop("fetched_at").equals(short.drop("fetched_at"))


@every_source
@pytest.mark.parametrize("days", [0, -3])
def test_a_period_without_a_day_is_an_error_that_says_what_to_do(name: str, days: int, opened: Open) -> None:
    day = date(2026, 9, 1)
    with pytest.raises((ConfigError, DataError)) as caught:
        opened(name).fetch(day, day + days * DAY)
    assert caught.value.remedy


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.archive])
def test_before_its_archive_there_are_no_rows_and_it_says_so(name: str, opened: Open) -> None:
    kind = KINDS[name]
    assert kind.archive is not None
    window = (kind.archive, kind.archive + 2 * DAY)
    variables = [variable for variable in kind.steps if not variable.endswith(OBSERVED)]
    source = opened(name)
    if not kind.live:
        with pytest.raises(OutsideData, match="no load"):
            source.fetch(*window)
        return
    found = source.fetch(*window, variables=variables)
    check(found, kind=kind, where=DK_1, window=window, now=NOW)
    assert found.observations.is_empty()
    assert found.doubtful.is_empty()
    assert set(found.due["variable"]) == set(variables) or found.notes


@every_source
def test_of_days_to_come_nothing_is_measured_and_no_load_is_due(name: str, opened: Open) -> None:
    source, window = opened(name), (date(2026, 12, 20), date(2026, 12, 22))
    if not source.kind.live:
        with pytest.raises(OutsideData, match="no load"):
            source.fetch(*window)
        return
    found = source.fetch(*window)
    assert found.observations.is_empty()
    assert found.doubtful.is_empty()
    assert found.due.is_empty()


@pytest.mark.parametrize(("name", "code"), [(name, kind.elsewhere) for name, kind in KINDS.items() if kind.elsewhere])
def test_a_zone_that_it_does_not_have_is_named_with_a_way_out(name: str, code: str, opened: Open) -> None:
    where = NOWHERE if code == "NOWHERE" else zone(code)
    with pytest.raises(ConfigError, match=code) as caught:
        opened(name).fetch(date(2026, 9, 1), date(2026, 9, 2), where=where)
    assert caught.value.remedy
    with pytest.raises(UnknownZone):
        zone("DK_9")


@every_live_source
def test_what_it_brings_by_itself_is_what_it_says_and_one_variable_can_be_had_alone(name: str, opened: Open) -> None:
    source = opened(name)
    assert source.adapter is not None
    assert source.adapter.name == name
    start, end = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 9, 2, tzinfo=UTC)
    whole = source.adapter.fetch(DK_1, start=start, end=end)
    assert set(whole.observations["variable"]) == set(source.adapter.variables)
    assert whole.observations["source"].str.starts_with(source.adapter.source).all()
    assert set(source.adapter.variables) <= set(source.kind.steps)
    for variable in source.kind.steps:
        alone = source.adapter.fetch(DK_1, start=start, end=end, variables=[variable])
        assert set(alone.observations["variable"]) == {variable} == set(alone.due["variable"])


@every_live_source
def test_what_cannot_be_asked_is_refused_before_anybody_is_asked(name: str, opened: Open) -> None:
    source = opened(name)
    adapter = source.adapter
    assert adapter is not None
    start, end = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 9, 2, tzinfo=UTC)
    wrong: list[dict[str, object]] = [
        {"start": end, "end": start},
        {"start": start, "end": start},
        {"start": start.replace(tzinfo=None), "end": end.replace(tzinfo=None)},
        {"start": start, "end": end, "variables": ["price"]},
        {"start": start, "end": end, "variables": []},
    ]
    for words in wrong:
        with pytest.raises(ConfigError) as caught:
            adapter.fetch(DK_1, **words)  # type: ignore[arg-type]
        assert caught.value.remedy
    assert list(Kept(source.home / "simulated" / "raw").answers(name)) == []


@every_live_source
def test_a_period_that_begins_and_ends_within_an_hour_brings_the_intervals_that_start_in_it(
    name: str, opened: Open
) -> None:
    source = opened(name)
    assert source.adapter is not None
    start, end = datetime(2026, 9, 1, 10, 31, tzinfo=UTC), datetime(2026, 9, 1, 14, 59, tzinfo=UTC)
    found = source.adapter.fetch(DK_1, start=start, end=end, variables=list(source.kind.steps))
    for variable, step in source.kind.steps.items():
        times = found.observations.filter(variable=variable)["valid_time"].unique().sort()
        first = datetime(2026, 9, 1, 11, tzinfo=UTC) if step == HOUR else datetime(2026, 9, 1, 10, 35, tzinfo=UTC)
        last = datetime(2026, 9, 1, 14, tzinfo=UTC) if step == HOUR else datetime(2026, 9, 1, 14, 55, tzinfo=UTC)
        assert (times[0], times[-1], len(times)) == (first, last, (last - first) // step + 1), variable
        assert set(found.due.filter(variable=variable)["valid_time"]) == set(times)


@every_live_source
def test_kept_answers_say_again_what_the_fetch_said(name: str, opened: Open) -> None:
    source = opened(name)
    assert source.adapter is not None
    fetched = source.fetch(date(2026, 9, 1), date(2026, 9, 4))
    answers = list(Kept(source.home / "simulated" / "raw").answers(name))
    assert {answer.sha256 for answer in answers} == set(fetched.answers)
    reads = [source.adapter.read(answer, zone=DK_1) for answer in answers]
    again = pl.concat([read.observations for read in reads]).unique()
    assert again.schema == OBSERVATIONS
    assert fetched.observations.join(again, on=fetched.observations.columns, how="anti").is_empty()
    for answer in answers:
        torn = replace(answer, body=answer.body[: len(answer.body) // 2])
        with pytest.raises(BadAnswer):
            source.adapter.read(torn, zone=DK_1)
