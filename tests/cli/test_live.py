"""`gridcast ingest` on live sources, by the real code path, against the grid simulator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from gridcast import simulate
from gridcast.market.days import instant
from gridcast.market.zones import zone
from gridcast.pipeline import Account
from gridcast.pipeline.clock import SystemClock
from gridcast.store.database import Store
from scripted import Scripted

NOW = datetime(2024, 5, 2, 8, tzinfo=UTC)
START, END = datetime(2024, 4, 24, 22, tzinfo=UTC), datetime(2024, 5, 2, 22, tzinfo=UTC)
DAYS = ("--start", "2024-04-25", "--end", "2024-05-03")
LAG = timedelta(hours=2)
QUICK = [
    name
    for name, fault in simulate.FAULTS.items()
    if fault.layer != "content" and name not in {"silence", "silence-in-body", "drip", "gzip-bomb", "huge-body"}
]


@pytest.fixture
def grid():
    world = simulate.World(gaps=0.02)
    clock = simulate.VirtualClock(NOW)
    with simulate.running(world, clock=clock, limits=False) as url:
        yield world, clock, url


def stored(home, *variables: str) -> pl.DataFrame:
    with Store(f"sqlite:///{home / 'gridcast.db'}") as store:
        rows = store.observations(["DK_1"], variables=variables or None)
    return (
        rows.sort("published_at")
        .unique(["variable", "valid_time", "source"], keep="last")
        .sort("variable", "valid_time", "source")
    )


def truth(world, variable: str, *, now: datetime = NOW) -> dict[datetime, float]:
    series = getattr(world, variable)(zone("DK_1"), begin=START, end=END)
    shown = series.as_of(now)
    inside = (series.start >= instant(START)) & (series.start < instant(END)) & ~np.isnan(shown)
    times = [each.astype(object).replace(tzinfo=UTC) for each in series.start[inside]]
    return dict(zip(times, shown[inside], strict=True))


@pytest.mark.parametrize("source", ["entsoe", "entsoe-files", "energidata"])
def test_ingest_fills_the_store_with_what_the_provider_has_and_names_every_interval_it_has_not(
    source, grid, gridcast, home
):
    world, _, url = grid
    account = gridcast("ingest", "--zone", "DK_1", "--source", source, *DAYS, "--simulator", url, "--json").document
    known = truth(world, "load")
    found = stored(home, "load")
    assert dict(zip(found["valid_time"], found["value"], strict=True)) == pytest.approx(known)
    due = {START + n * timedelta(hours=1) for n in range(8 * 24)}
    due = {each for each in due if each + timedelta(hours=1) + LAG <= NOW}
    missing = {each["start"] for each in account["missing"] if each["variable"] == "load"}
    assert missing
    assert missing == {f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in due - set(known)}
    assert account["requested"] == account["received"] + len(account["missing"])
    assert account["received"] == account["new"] + account["quarantined"]
    assert account["source"] == source
    assert account["revised"] == 0


def test_weather_of_past_days_is_what_was_known_before_them(grid, gridcast, home):
    _, _, url = grid
    account = gridcast(
        "ingest", "--zone", "DK_1", "--source", "openmeteo", *DAYS, "--simulator", url, "--json"
    ).document
    found = stored(home, "temperature_2m")
    assert account["missing"] == []
    assert found["valid_time"].n_unique() == 8 * 24
    past = found.filter(pl.col("valid_time") < NOW - timedelta(days=1))
    issue = pl.col("valid_time").dt.convert_time_zone("Europe/Copenhagen").dt.truncate("1d") - timedelta(hours=13)
    issue = issue.dt.convert_time_zone("UTC")
    assert past.filter(pl.col("published_at") > issue).is_empty()


@pytest.mark.parametrize("source", ["entsoe", "entsoe-files", "energidata", "openmeteo"])
def test_ingest_gets_there_through_faults_of_the_network(source, grid, gridcast, home):
    world, clock, _ = grid
    with simulate.running(
        world, clock=clock, limits=False, faults=simulate.Faults(QUICK, rate=0.4, seed=len(source))
    ) as url:
        for _ in range(12):
            tried = gridcast("ingest", "--zone", "DK_1", "--source", source, *DAYS, "--simulator", url, "--json")
            if tried.code == 0:
                break
            assert tried.err.count("\n") == 1
    assert tried.code == 0
    if source != "openmeteo":
        found = stored(home, "load")
        assert dict(zip(found["valid_time"], found["value"], strict=True)) == pytest.approx(truth(world, "load"))


def test_denmark_falls_back_on_energidata_where_entsoe_does_not_answer(grid, gridcast, home):
    world, clock, _ = grid
    with simulate.running(world, clock=clock, limits=False, faults=simulate.Faults(["status-404"])) as down:
        failed = gridcast("ingest", "--zone", "DK_1", "--source", "entsoe", *DAYS, "--simulator", down)
        assert failed.code == 1
        assert failed.err.count("\n") == 1
    plan = simulate.Faults(script={1: "status-404"})
    with simulate.running(world, clock=clock, limits=False, faults=plan) as url:
        account = gridcast("ingest", "--zone", "DK_1", *DAYS, "--simulator", url, "--json").document
    assert account["source"] == "energidata"
    assert "404" in account["failed"]["entsoe"]
    assert set(stored(home, "load")["source"]) == {"energidata"}


def test_settlement_comes_when_it_is_named_and_beside_the_load(grid, gridcast, home):
    _, _, url = grid
    words = ("ingest", "--zone", "DK_1", "--source", "energidata", *DAYS, "--simulator", url, "--json")
    gridcast(*words)
    assert stored(home, "load_settlement").is_empty()
    before = stored(home, "load")
    account = gridcast(*words, "--variables", "load_settlement").document
    assert account["received"] + len(account["missing"]) == account["requested"]
    assert account["received"] == stored(home, "load_settlement").height
    assert stored(home, "load").equals(before)
    strange = gridcast(*words, "--variables", "load,wind")
    assert strange.code != 0
    assert "wind" in strange.err


def test_a_second_look_finds_nothing_new_and_a_later_one_what_was_revised(grid, gridcast, home):
    world, clock, url = grid
    words = ("ingest", "--zone", "DK_1", "--source", "entsoe", *DAYS, "--simulator", url, "--json")
    gridcast(*words)
    again = gridcast(*words).document
    assert (again["new"], again["revised"]) == (0, 0)
    clock.set(NOW + timedelta(days=5))
    later = gridcast(*words).document
    assert later["revised"] > 0
    found = stored(home, "load")
    now = truth(world, "load", now=NOW + timedelta(days=5))
    assert dict(zip(found["valid_time"], found["value"], strict=True)) == pytest.approx(now)


def test_the_watch_sees_when_a_value_appears_and_when_it_changes(grid, gridcast, home):
    world, _, url = grid
    words = ("--zone", "DK_1", "--source", "entsoe", "--simulator", url, "--json")
    seen = gridcast("ingest", *words, "--watch", "--every", "30", "--polls", "30").document
    assert (seen["polls"], seen["failed"]) == (30, 0)
    assert seen["new"] > 0
    with Store(f"sqlite:///{home / 'gridcast.db'}") as store:
        lags = store.lags("DK_1", variable="load", source="entsoe")
    series = world.load(zone("DK_1"), begin=NOW, end=NOW + timedelta(hours=10))
    first = {
        start.astype(object).replace(tzinfo=UTC): published.astype(object).replace(tzinfo=UTC)
        for start, published in zip(series.start, series.published_at[0], strict=True)
    }
    watched = lags.filter(pl.col("valid_time").is_in(list(first)))
    assert watched.height >= 5
    for row in watched.iter_rows(named=True):
        late = row["published_at"] - first[row["valid_time"]]
        assert timedelta(0) <= late <= timedelta(minutes=30)


def test_an_error_of_usage_is_one_line_and_exit_2(grid, gridcast):
    _, _, url = grid
    for words in (
        ("--source", "entsoe", "--simulator", "http://10.0.0.1:80"),
        ("--source", "entsoe", "--simulator", url, "--now", "2024-01-01T00:00:00Z"),
        ("--source", "entsoe", "--simulator", url, "--start", "2024-05-02", "--end", "2024-05-01"),
        ("--source", "entsoe", "--simulator", url, "--file", "x.csv"),
        ("--source", "entsoe", "--simulator", url, "--polls", "3"),
        ("--source", "demo", "--simulator", url, "--start", "2024-05-01", "--end", "2024-05-02"),
    ):
        ended = gridcast("ingest", "--zone", "DK_1", *words)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), words
    ended = gridcast("ingest", "--zone", "VIC", "--simulator", url)
    assert (ended.code, ended.err.count("\n")) == (2, 1)


def test_entsoe_without_a_token_says_where_to_put_one(gridcast):
    ended = gridcast("ingest", "--zone", "SE_3", "--source", "entsoe")
    assert ended.code == 1
    assert "ENTSOE_API_KEY" in ended.err


def test_the_doctor_finds_every_provider_in_good_health(grid, gridcast, home):
    _, _, url = grid
    gridcast("ingest", "--zone", "DK_1", "--source", "entsoe", *DAYS, "--simulator", url)
    seen = gridcast("doctor", "--online", "--simulator", url, "--json")
    assert seen.code == 0, seen.out
    states = {each["subject"]: each["state"] for each in seen.document["findings"]}
    assert {states[name] for name in ("entsoe", "entsoe-files", "energidata", "openmeteo", "store", "DK_1")} == {"good"}
    for body in (home / "simulated" / "raw").rglob("*.gz"):
        body.write_bytes(b"damaged")
    ended = gridcast("doctor", "--simulator", url, "--json")
    assert ended.code == 1
    assert not ended.document["sound"]


def test_what_is_doubtful_goes_into_quarantine_and_comes_back_only_by_hand(grid, gridcast, home):
    world, clock, url = grid
    history = ("--start", "2024-02-20", "--end", "2024-04-25")
    gridcast("ingest", "--zone", "DK_1", "--source", "energidata", *history, "--simulator", url)
    with simulate.running(world, clock=clock, limits=False, faults=simulate.Faults(["negative-load"])) as bad:
        account = gridcast("ingest", "--zone", "DK_1", "--source", "energidata", *DAYS, "--simulator", bad, "--json")
    assert account.document["quarantined"] >= 1
    listed = gridcast("quarantine", "--zone", "DK_1", "--json").document
    assert len(listed["values"]) == account.document["quarantined"]
    assert min(each["value"] for each in listed["values"]) < 0
    assert stored(home, "load")["value"].min() > 0
    gridcast("quarantine", "--zone", "DK_1", "--release", "--now", "2024-05-02T09:00:00Z")
    assert gridcast("quarantine", "--zone", "DK_1", "--json").document["values"] == []


def test_kept_answers_are_read_again_without_asking_anybody(grid, gridcast, home):
    _, _, url = grid
    gridcast("ingest", "--zone", "DK_1", "--source", "entsoe", *DAYS, "--simulator", url)
    before = stored(home)
    (home / "gridcast.db").unlink()
    gridcast("ingest", "--zone", "DK_1", "--source", "entsoe", "--again", "--simulator", url)
    columns = ["variable", "valid_time", "value"]
    assert stored(home).select(columns).equals(before.select(columns))


def test_a_backup_restores_to_the_same_store(grid, gridcast, home, tmp_path, monkeypatch):
    _, _, url = grid
    gridcast("ingest", "--zone", "DK_1", "--source", "entsoe", *DAYS, "--simulator", url)
    (tmp_path / "all.gridcast").write_bytes(b"yesterday's")
    assert gridcast("backup", "--out", tmp_path / "all.gridcast").code == 1
    assert (tmp_path / "all.gridcast").read_bytes() == b"yesterday's"
    assert gridcast("backup", "--out", tmp_path / "all.gridcast", "--force").code == 0
    before = stored(home)
    assert gridcast("restore", "--file", tmp_path / "all.gridcast").code == 1
    (home / "gridcast.db").unlink()
    assert gridcast("restore", "--file", tmp_path / "all.gridcast", "--check").code == 0
    assert gridcast("restore", "--file", tmp_path / "all.gridcast", "--json").document["rows"] >= before.height
    assert stored(home).equals(before)


def test_retain_counts_first_and_deletes_when_told(grid, gridcast, home):
    _, _, url = grid
    gridcast("ingest", "--zone", "DK_1", "--source", "entsoe", *DAYS, "--simulator", url)
    before = stored(home).height
    counted = gridcast("retain", "--since", "2024-04-28", "--json").document
    assert counted["observations"] > 0
    assert gridcast("retain", "--since", "2030-01-01", "--json").document["answers"] > 0
    assert stored(home).height == before
    gridcast("retain", "--since", "2024-04-28", "--delete", "--json")
    assert stored(home).height == before - counted["observations"]


def test_the_data_report_shows_the_days_and_names_the_gaps(grid, gridcast, tmp_path):
    _, _, url = grid
    gridcast("ingest", "--zone", "DK_1", "--source", "entsoe", "--start", "2024-03-01", "--simulator", url)
    page = tmp_path / "data.html"
    assert gridcast("report", "--zone", "DK_1", "--out", page).code == 0
    text = page.read_text()
    assert "partial" in text
    assert "complete" in text


def test_a_simulator_that_is_none_is_one_line_and_the_machines_own_clock_is_no_fault(gridcast):
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"
    with Scripted(page) as server:
        ended = gridcast("ingest", "--zone", "DK_1", "--source", "energidata", "--simulator", server.url)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "is no grid simulator: start one: gridcast simulate" in ended.err
    with simulate.running(simulate.World(), clock=SystemClock(), limits=False) as url:
        assert gridcast("doctor", "--simulator", url).code == 0


def test_a_source_without_its_token_is_said_to_be_left_out_before_anybody_is_asked(gridcast, monkeypatch):
    nothing = Account("DK_1", "energidata", 0, 0, (), 0, 0, 0, None, None)
    seen = []

    def asked(_, sources, **__):
        seen.extend(each.name for each in sources)
        return nothing

    monkeypatch.setattr("gridcast.pipeline.ingest_live", asked)
    ended = gridcast("ingest", "--zone", "DK_1", *DAYS, "--json")
    assert seen == ["energidata"]
    why = "ENTSO-E answers nobody without a token: set ENTSOE_API_KEY"
    assert ended.err.startswith(f"gridcast: note: entsoe is not asked: {why}")
    assert ended.document["failed"]["entsoe"].startswith(why)


def test_kept_answers_are_read_again_without_a_token(gridcast):
    for source in ("entsoe", "entsoe-files"):
        ended = gridcast("ingest", "--zone", "DK_1", "--source", source, "--again")
        assert ended.code == 1
        assert "no raw answer about DK_1 is kept" in ended.err


def bad(gridcast) -> list[dict[str, str]]:
    ended = gridcast("doctor", "--json")
    assert ended.code == 1
    return [each for each in ended.document["findings"] if each["state"] == "bad"]


def test_the_doctor_says_once_how_a_damaged_store_is_replaced(gridcast, home):
    gridcast("ingest", "--zone", "DK_1", "--source", "demo", "--start", "2026-01-01", "--end", "2026-03-01")
    store = home / "gridcast.db"
    pages = store.read_bytes()
    for damaged in (pages[:8192] + bytes([255]) * (len(pages) - 8192), b"no database" * 999):
        for rest in home.glob("gridcast.db?*"):
            rest.unlink()
        store.write_bytes(damaged)
        (found,) = bad(gridcast)
        assert found["subject"] == "store"
        assert f"move {store}* away" in found["remedy"]
        assert "gridcast restore --file BACKUP" in found["remedy"]


def test_the_doctor_sees_permits_and_kept_answers_that_are_none(gridcast, home):
    home.mkdir()
    (home / "permits.db").write_bytes(b"no database" * 999)
    (home / "raw").write_bytes(b"")
    assert [each["subject"] for each in bad(gridcast)] == ["permits", "raw answers"]
