"""Every forecast leaves an entry in the journal, and comes out of it again to the bit, whatever came in between."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

from gridcast import pipeline, settings
from gridcast.contracts import FORECAST, LOAD
from gridcast.errors import DataError, ModelNotFound, OutsideData, StoreError
from gridcast.market.days import Task, instant
from gridcast.market.zones import zone
from gridcast.models.classic_onnx import Classic
from gridcast.pipeline import answers, journaling
from gridcast.pipeline.champions import Champion
from gridcast.pipeline.journaling import Request
from gridcast.pipeline.posted import Posted
from gridcast.pipeline.replaying import Outcome, Replayed, Replays, with_actuals
from gridcast.registry import Registry
from gridcast.store.database import Store
from gridcast.store.journal import Entry, Journal, canonical
from gridcast.store.tables import ISSUED, OBSERVATION

ZONES = [zone(code) for code in ("DK", "DK_1", "DK_2")]
DK, *MEMBERS = ZONES
DK_1, DK_2 = MEMBERS
TRAINED, NOW = datetime(2026, 11, 20, 9, tzinfo=UTC), datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
def rows():
    """Four months of demo data of both Danish zones, fetched when the models were trained."""
    return pl.concat(
        pipeline.fetch(each, source=pipeline.DEMO, start=date(2026, 8, 1), end=date(2026, 11, 22), fetched_at=NOW)
        for each in MEMBERS
    )


@pytest.fixture(scope="module")
def registry(rows, tmp_path_factory):
    """Linear champions of all three for the delivery day, and of DK_1 for the next 24 hours."""
    made = Registry(tmp_path_factory.mktemp("models"))
    for words in (*([f"zone={each.code}"] for each in ZONES), ["zone=DK_1", "task=next_24h"]):
        code = words[0].removeprefix("zone=")
        experiment = settings.compose([*words, "model=linear"])
        pipeline.train_on(rows, made, sha256="0" * 64, zone=zone(code), experiment=experiment, at=TRAINED)
    return made


@pytest.fixture
def store(rows):
    with Store("sqlite://") as store:
        store.put(rows.filter(pl.col("valid_time") >= datetime(2026, 9, 1, tzinfo=UTC)))
        yield store


@pytest.fixture(scope="module")
def classic():
    pytest.importorskip("onnxruntime")
    return Classic.load()


def revise(store, *, code="DK_1", at=NOW + HOUR):
    """New values of yesterday's load, which change every forecast made from then on."""
    load = store.observations([code], variables=[LOAD], start=NOW - 30 * DAY)
    store.put(load.with_columns(pl.col("value") * 1.05, fetched_at=pl.lit(at), published_at_basis=pl.lit("assumed")))


def issue(store, registry, *, where=DK_1, now=NOW, **words):
    return pipeline.issue_and_store(store, registry, zone=where, now=now, **words)


def outcomes(store, registry, **words):
    replays = Replays(store, registry, **words)
    return [replays.compared(each) for each in Journal(store).entries()]


@pytest.fixture(scope="module")
def champion(registry):
    return Champion.load(registry, registry.champion("DK_1", Task.DAY_AHEAD), zone=DK_1)


@pytest.fixture(scope="module")
def models(champion, classic):
    return champion, classic


def on_demand(champion, rows, *, hours=0):
    """What the service does with a posted history of DK_1."""
    at = NOW - hours * HOUR
    load = rows.filter(
        (pl.col("zone") == "DK_1")
        & (pl.col("variable") == LOAD)
        & (pl.col("valid_time") < at - 2 * HOUR)
        & (pl.col("valid_time") >= at - 60 * DAY)
    )
    cells = [(start.isoformat(), value) for start, value in load.select("valid_time", "value").iter_rows()]
    asked = Posted(DK_1, cells, issue_time=at).settled(now=NOW)
    answer = answers.on_demand(asked, champion=champion)
    return Entry("on_demand", at, "DK_1", champion.version.id, canonical(asked.request()), answer)


def windows(network, *, seed):
    """The classic network's entry about a window like the canary's."""
    load = network.example
    load[:, 0] *= 1 + 0.1 * np.random.default_rng(seed).random(len(load))
    features = load.tolist()
    answer = answers.classic(features, network=network)
    return Entry("classic", NOW, "", network.version, canonical({"features": features}), answer)


def test_an_issued_forecast_stands_in_the_journal_as_it_was_stored(store, registry):
    made = issue(store, registry)
    (entry,) = Journal(store).entries()
    version = registry.champion("DK_1", Task.DAY_AHEAD).id
    assert (entry.kind, entry.zone, entry.model_version, entry.at) == ("issued", "DK_1", version, NOW)
    assert journaling.forecast_of(entry.answer).equals(store.forecasts("DK_1"))
    request = Request.of(entry.request)
    assert request.made_at == store.made_at("DK_1", issue_time=request.issue_time, model_version=version) == NOW
    assert (request.task, request.rows, request.together) == (Task.DAY_AHEAD, made.observations.height, ())
    assert request.start == made.forecast["valid_time"].min()
    assert request.agrees(made.observations)
    assert not request.agrees(made.observations.with_columns(pl.col("value") + 1e-9))
    assert Request.of(request.to_json()) == request


def test_asked_again_there_is_no_second_entry(store, registry):
    issue(store, registry)
    revise(store)
    issue(store, registry)
    issue(store, registry, now=NOW + HOUR)  # the same issue time, as it was before
    assert Journal(store).head().count == 1


def test_a_forecast_that_cannot_be_noted_is_not_stored(store, registry, monkeypatch):
    def full(*_):
        raise StoreError("the disk is full", remedy="make room")

    with monkeypatch.context() as patch:
        patch.setattr("gridcast.store.issuing.chain.add", full)
        with pytest.raises(StoreError, match="disk is full"):
            issue(store, registry)
    assert store.forecasts("DK_1").is_empty()
    issue(store, registry)
    assert (Journal(store).head().count, store.forecasts("DK_1").height) == (1, 24 * 9)


def test_entries_replay_to_the_bit_whatever_came_later(store, registry, rows, classic, champion):
    journal = Journal(store)
    first = issue(store, registry).forecast
    for hour in (0, 5):
        issue(store, registry, now=NOW + hour * HOUR, task="next_24h")
        revise(store, at=NOW + (hour + 1) * HOUR)
    issue(store, registry, where=DK_2)
    pipeline.issue_with_members(store, registry, zone=DK, members=MEMBERS, now=NOW)
    journal.append(on_demand(champion, rows))
    journal.append(windows(classic, seed=1))
    assert outcomes(store, registry, classic=classic) == [Replayed(n, Outcome.SAME) for n in range(1, 8)]
    assert [each.number for each in Replays(store, registry, classic=classic).sample(99, seed=0)] == list(range(1, 8))
    # The revisions were no small matter: a forecast made now is another.
    now = pipeline.issue(
        store.observations(["DK_1"]),
        trained=champion.trained,
        origin=pipeline.window_to_issue(DK_1, now=NOW + 8 * HOUR, delivery_day=date(2026, 11, 21), trained_at=NOW),
        model_version="now",
    )
    assert np.abs(now["value"].to_numpy() / first["value"].to_numpy() - 1).max() > 0.005


@pytest.mark.parametrize("before", [[], [1], [0, 2]])
def test_members_that_were_moved_replay_beside_those_that_had_been_issued_alone(store, registry, before):
    for number in before:
        issue(store, registry, where=ZONES[number])
        revise(store, code="DK_1", at=NOW - HOUR + number * timedelta(minutes=1))
    pipeline.issue_with_members(store, registry, zone=DK, members=MEMBERS, now=NOW)
    pipeline.issue_with_members(store, registry, zone=DK, members=MEMBERS, now=NOW)
    revise(store, code="DK_2", at=NOW + HOUR)
    entries = list(Journal(store).entries())
    assert len(entries) == 3
    together = [Request.of(each.request).together for each in entries]
    assert [bool(each) for each in together] == [False] * len(before) + [True] * (3 - len(before))
    assert [each.stored for each in together[-1]] == [number in before for number in range(3)]
    assert [each.outcome for each in outcomes(store, registry)] == [Outcome.SAME] * 3
    for entry in entries:
        assert journaling.forecast_of(entry.answer).equals(store.forecasts(entry.zone))


def test_zones_whose_data_came_at_different_times_are_still_of_one_state(rows, registry):
    later = pl.when(pl.col("zone") == "DK_2").then(pl.lit(NOW + 3 * HOUR)).otherwise("fetched_at")
    with Store("sqlite://") as store:
        store.put(rows.with_columns(fetched_at=later))
        pipeline.issue_with_members(store, registry, zone=DK, members=MEMBERS, now=TRAINED)
        made = {Request.of(each.request).made_at for each in Journal(store).entries()}
        assert made == {NOW + 3 * HOUR}
        revise(store, at=NOW + 4 * HOUR)
        assert [each.outcome for each in outcomes(store, registry)] == [Outcome.SAME] * 3


def forged(entry, **changes):
    return replace(entry, **changes)


def test_a_forged_answer_is_different(store, registry, rows, classic, champion):
    issue(store, registry)
    journal = Journal(store)
    journal.append(on_demand(champion, rows))
    journal.append(windows(classic, seed=2))
    replays = Replays(store, registry, classic=classic)
    for entry in journal.entries():
        document = json.loads(entry.answer)
        if entry.kind == "classic":
            document["predictions"][0] += 0.001
        else:
            document["intervals"][3]["quantiles"]["0.5"] += 0.001
        assert replays.compared(entry).outcome is Outcome.SAME
        found = replays.compared(forged(entry, answer=json.dumps(document).encode()))
        assert found == Replayed(entry.number, Outcome.DIFFERENT, "its inputs and its model give another answer")


def test_what_is_no_longer_there_is_named(store, registry, rows, classic, champion):
    journal = Journal(store)
    issue(store, registry)
    journal.append(on_demand(champion, rows))
    journal.append(windows(classic, seed=3))
    issued, posted, window = journal.entries()
    replays = Replays(store, registry, classic=classic)

    def why(entry):
        found = replays.compared(entry)
        assert found.outcome is Outcome.IMPOSSIBLE
        return found.why

    assert "no model version" in why(forged(issued, model_version="20260102T030405Z-0123abcd"))
    assert "no model version" in why(forged(posted, model_version="20260102T030405Z-0123abcd"))
    assert "the classic network v0 is not here" in why(forged(window, model_version="v0"))
    assert "is not here" in Replays(store, registry).compared(window).why
    assert "it has no request" in why(forged(issued, request=None, answer=None))
    for entry in (issued, posted, window):
        for request in (b"", b"[]", b"{}", b'{"load": 1, "features": 2}', b"\xff"):
            assert why(forged(entry, request=request))
    with pytest.raises(DataError, match="not one that this gridcast writes"):
        replays.again(forged(posted, request=b"[]"))
    with pytest.raises(ModelNotFound):
        Replays(store, registry).again(window)


def test_observations_that_were_changed_in_the_store_are_found(store, registry):
    issue(store, registry)
    (entry,) = Journal(store).entries()
    replays = Replays(store, registry)
    assert replays.compared(entry).outcome is Outcome.SAME
    with store.database.engine.begin() as connection:
        early = OBSERVATION.c.valid_time < int(instant(NOW - 70 * DAY).astype(np.int64))
        # So early that the forecast itself stays what it was.
        connection.execute(sa.update(OBSERVATION).where(early).values(value=OBSERVATION.c.value + 1))
    found = replays.compared(entry)
    assert found.outcome is Outcome.IMPOSSIBLE
    assert "observations of DK_1, and the" in found.why
    store.retain(since=NOW + 9 * DAY)
    with pytest.raises(OutsideData):
        replays.again(entry)


def test_a_companion_that_left_the_store_is_missed(store, registry):
    issue(store, registry, where=DK_2)
    pipeline.issue_with_members(store, registry, zone=DK, members=MEMBERS, now=NOW)
    with store.database.engine.begin() as connection:
        connection.execute(sa.delete(ISSUED).where(ISSUED.c.zone == "DK_2"))
    found = outcomes(store, registry)
    assert [each.outcome for each in found] == [Outcome.SAME, Outcome.IMPOSSIBLE, Outcome.IMPOSSIBLE]
    assert "no longer the forecast of DK_2" in found[1].why


def test_a_sample_passes_over_what_retention_emptied(store, registry, rows, champion):
    issue(store, registry, now=NOW - HOUR)
    journal = Journal(store)
    journal.append(on_demand(champion, rows))
    journal.append(on_demand(champion, rows, hours=1))
    journal.retain(before=NOW)
    assert [each.number for each in Replays(store, registry).sample(10, seed=1)] == [1, 2]
    assert [each.outcome for each in outcomes(store, registry)] == [
        Outcome.SAME,
        Outcome.SAME,
        Outcome.IMPOSSIBLE,
        Outcome.IMPOSSIBLE,
    ]


def test_retention_of_the_home_empties_old_entries(store, registry, tmp_path, monkeypatch):
    monkeypatch.setenv("GRIDCAST_HOME", str(tmp_path))
    issue(store, registry)
    home = settings.load()
    for delete, left in ((False, 1), (True, 1), (True, 0)):
        assert pipeline.retain(store, settings=home, since=NOW + HOUR, delete=delete).entries == left
    first, note = Journal(store).entries()
    assert (first.request, note.kind, Journal(store).verify()) == (None, "retained", [])


def test_actual_load_joins_the_entries_when_it_is_there(store, registry, rows, classic, champion):
    journal = Journal(store)
    issue(store, registry)
    journal.append(on_demand(champion, rows))
    journal.append(windows(classic, seed=4))
    pipeline.issue_with_members(store, registry, zone=DK, members=[DK_1, DK_2], now=NOW)
    table = with_actuals(journal.entries(), store=store, at=NOW)
    assert table.columns == ["number", "kind", "made_at", *FORECAST, "actual"]
    assert table["number"].unique(maintain_order=True).to_list() == [1, 2, 4, 5]
    assert table["actual"].null_count() == table.height == 4 * 24 * 9
    come = pl.concat(
        pipeline.fetch(
            each, source=pipeline.DEMO, start=date(2026, 11, 21), end=date(2026, 11, 23), fetched_at=NOW + 3 * DAY
        )
        for each in MEMBERS
    ).filter(pl.col("variable") == LOAD)
    store.put(come)
    assert with_actuals(journal.entries(), store=store, at=NOW).equals(table)
    table = with_actuals(journal.entries(kind="issued"), store=store, at=NOW + 3 * DAY)
    assert table["actual"].null_count() == 0
    both = come.group_by("valid_time").agg(pl.col("value").sum()).rename({"value": "sum"})
    joined = table.filter(pl.col("zone") == "DK").join(both, on="valid_time")
    assert joined.height == 24 * 9
    np.testing.assert_allclose(joined["actual"], joined["sum"], rtol=1e-12)
    ratio = table.filter(pl.col("quantile") == 0.5).select(pl.col("value") / pl.col("actual")).to_series()
    assert ratio.is_between(0.8, 1.25).all()


def test_no_entries_make_an_empty_table(store):
    table = with_actuals([], store=store, at=NOW)
    assert (table.height, table.columns) == (0, ["number", "kind", "made_at", *FORECAST, "actual"])


def test_an_answer_in_quarters_comes_back_as_it_was():
    times = pl.datetime_range(
        datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 3, tzinfo=UTC), "15m", eager=True, closed="left"
    )
    table = pl.DataFrame({"valid_time": times}).join(pl.DataFrame({"quantile": [0.025, 0.5]}), how="cross")
    table = (
        table.with_columns(
            zone=pl.lit("DE_LU"),
            issue_time=pl.lit(datetime(2025, 12, 31, 9, 0, 0, 123456, tzinfo=UTC)),
            resolution=pl.lit(timedelta(minutes=15)),
            value=pl.int_range(pl.len()) / 7,
            model_version=pl.lit("v"),
            degraded=pl.lit("the newest load is 30 h old; ärgerlich"),
        )
        .select(list(FORECAST))
        .cast(FORECAST)
    )
    answer = journaling.answer_of(table)
    assert journaling.forecast_of(answer).equals(table)
    with pytest.raises(DataError):
        journaling.forecast_of(b"{}")
    with pytest.raises(DataError):
        Request.of(b'{"task": "day_ahead"}')


@pytest.mark.parametrize("count", [12, pytest.param(1000, marks=pytest.mark.long)])
def test_a_random_sample_of_entries_replays_to_the_bit(rows, registry, models, count, record_property):
    """Forecasts of every hour while data trickle in, in three kinds; all entries drawn by lot."""
    champion, classic = models
    begin = NOW - timedelta(hours=count // 3)
    known = rows.filter(pl.col("zone") == "DK_1")
    with Store("sqlite://") as store:
        journal = Journal(store)
        early = known.filter(pl.col("published_at") <= begin).with_columns(fetched_at=pl.lit(begin - HOUR))
        store.put(early)
        for number in range(count // 3 + 1):
            at = begin + number * HOUR
            fresh = known.filter(pl.col("published_at") > at - HOUR, pl.col("published_at") <= at)
            if fresh.height:
                store.put(fresh.with_columns(fetched_at=pl.lit(at)))
            issue(store, registry, now=at, task="next_24h")
            journal.append(on_demand(champion, rows, hours=number % 11))
            journal.append(windows(classic, seed=number))
        found = Counter(each.outcome for each in Replays(store, registry, classic=classic).sample(count, seed=5))
        assert journal.verify() == []
    assert found == {Outcome.SAME: count}
    for name, value in {"entries": count, "same": found[Outcome.SAME]}.items():
        record_property(name, value)
