from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast import pipeline
from gridcast.contracts import OBSERVATION_KEY, OBSERVATIONS
from gridcast.errors import ConfigError, DataError, OutsideData, UnreadableFile
from gridcast.market.zones import zone
from gridcast.store import digest
from gridcast.store.database import Store

DK, DK_1, DK_2 = zone("DK"), zone("DK_1"), zone("DK_2")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def demo(place=DK_1, *, start=date(2026, 1, 1), end=date(2026, 2, 1)) -> pl.DataFrame:
    found = pipeline.fetch(place, source=pipeline.DEMO, start=start, end=end, fetched_at=NOW)
    # The demo knows a temperature of -0.0.
    return found.with_columns(value=pl.when(pl.col("value") == 0).then(0.0).otherwise("value"))


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return demo().sort(OBSERVATION_KEY)


@pytest.fixture(scope="module")
def store(rows):
    with Store("sqlite://") as store:
        store.put(rows)
        yield store


@pytest.fixture
def written(store, tmp_path):
    path = tmp_path / "snapshot.parquet"
    pipeline.write_snapshot(store, zone=DK_1, out=path)
    return path


def test_a_snapshot_gives_back_every_stored_row(written, rows):
    assert pipeline.read_snapshot(written, zone=DK_1).equals(rows)


def test_the_same_rows_make_the_same_bytes_in_whatever_order_and_portions_they_came(written, rows, tmp_path):
    mixed = rows.sample(fraction=1.0, shuffle=True, seed=1)
    with Store("sqlite://") as other:
        for portion in (mixed.head(100), mixed.slice(100, 300), mixed.slice(400)):
            other.put(portion)
        pipeline.write_snapshot(other, zone=DK_1, out=tmp_path / "other.parquet")
    assert (tmp_path / "other.parquet").read_bytes() == written.read_bytes()
    assert (tmp_path / "other.json").read_text() == written.with_suffix(".json").read_text()


WRITER = """
import sys, io
import polars as pl
from gridcast.pipeline.snapshots import _parquet
assert pl.thread_pool_size() == 1
rows = pl.concat([pl.read_parquet(sys.argv[1])] * 300)
sys.stdout.buffer.write(_parquet(rows))
"""


def test_the_number_of_threads_leaves_no_trace_in_the_bytes(written):
    from gridcast.pipeline.snapshots import _parquet

    environment = os.environ | {"POLARS_MAX_THREADS": "1"}
    alone = subprocess.run([sys.executable, "-c", WRITER, written], env=environment, capture_output=True, check=True)
    assert alone.stdout == _parquet(pl.concat([pl.read_parquet(written)] * 300).rechunk())


def test_the_statement_says_what_is_in_it(written, rows):
    stated = pipeline.read_statement(written)
    load = rows.filter(pl.col("variable") == "load")
    assert (stated.zone, stated.rows, stated.start, stated.end) == ("DK_1", rows.height, None, None)
    assert stated.sha256 == hashlib.sha256(written.read_bytes()).hexdigest()
    assert stated.as_of == rows["published_at"].max()
    assert stated.series["DK_1"]["load"] == {
        "rows": load.height,
        "intervals": 744,
        "first": "2025-12-31T23:00:00Z",
        "last": "2026-01-31T22:00:00Z",
        "sources": "demo:synthetic:denmark-2015-2018",
        "mean": round(load["value"].to_numpy().mean(), 6),
        "min": load["value"].min(),
        "max": load["value"].max(),
    }


def test_the_statement_alone_says_the_same_without_the_hash_of_a_file(store, written, tmp_path):
    pipeline.write_snapshot(store, zone=DK_1, out=tmp_path / "alone.json")
    alone, beside = (json.loads(file.read_text()) for file in (tmp_path / "alone.json", written.with_suffix(".json")))
    assert alone == beside | {"sha256": None}
    assert not (tmp_path / "alone.parquet").exists()


def test_a_snapshot_holds_what_was_public_at_its_as_of_and_nothing_else(store, rows, tmp_path):
    as_of = datetime(2026, 1, 15, 12, tzinfo=UTC)
    out = tmp_path / "early.parquet"
    stated = pipeline.write_snapshot(store, zone=DK_1, out=out, as_of=as_of)
    public = rows.filter(pl.col("published_at") <= as_of)
    assert 0 < public.height < rows.height
    assert public["published_at"].max() == as_of
    assert pipeline.read_snapshot(out).equals(public)
    assert pipeline.read_statement(out) == stated
    assert stated.as_of == as_of


def test_days_are_local_and_the_last_one_is_left_out(store, tmp_path):
    out = tmp_path / "days.parquet"
    pipeline.write_snapshot(store, zone=DK_1, out=out, start=date(2026, 1, 10), end=date(2026, 1, 12))
    times = pipeline.read_snapshot(out)["valid_time"]
    assert times.min() == datetime(2026, 1, 9, 23, tzinfo=UTC)
    assert times.max() == datetime(2026, 1, 11, 22, tzinfo=UTC)


def test_a_revision_is_in_it_and_out_of_one_as_of_before(rows, tmp_path):
    revised = rows.filter(pl.col("variable") == "load").tail(1)
    revised = revised.with_columns(
        pl.col("value") + 5, fetched_at=pl.lit(NOW + timedelta(days=1)).cast(pl.Datetime("us", "UTC"))
    )
    with Store("sqlite://") as store:
        store.put(rows)
        store.put(revised)
        late = pipeline.write_snapshot(store, zone=DK_1, out=tmp_path / "late.json")
        early = pipeline.write_snapshot(store, zone=DK_1, out=tmp_path / "early.json", as_of=NOW)
    assert (late.rows, early.rows) == (rows.height + 1, rows.height)
    assert late.series["DK_1"]["load"]["rows"] == late.series["DK_1"]["load"]["intervals"] + 1


def test_a_portfolio_brings_its_members(tmp_path):
    with Store("sqlite://") as store:
        store.put(pl.concat([demo(DK_1), demo(DK_2)]))
        stated = pipeline.write_snapshot(store, zone=DK, out=tmp_path / "dk.parquet")
    assert set(stated.series) == {"DK_1", "DK_2"}
    assert set(pipeline.read_snapshot(tmp_path / "dk.parquet", zone=DK)["zone"]) == {"DK_1", "DK_2"}


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_bit_can_flip_unnoticed(written_once, place, bit):
    good = written_once.read_bytes()
    bad = bytearray(good)
    bad[int(place * len(bad))] ^= 1 << bit
    try:
        written_once.write_bytes(bad)
        with pytest.raises(DataError, match="SHA-256 is another"):
            pipeline.read_snapshot(written_once)
    finally:
        written_once.write_bytes(good)


@pytest.fixture(scope="module")
def written_once(store, tmp_path_factory):
    path = tmp_path_factory.mktemp("once") / "snapshot.parquet"
    pipeline.write_snapshot(store, zone=DK_1, out=path)
    return path


def test_a_file_that_another_writer_made_of_other_rows_is_refused(written, rows):
    rows.with_columns(pl.col("value") + 1e-9).write_parquet(written)
    facts = json.loads(written.with_suffix(".json").read_text())
    facts["sha256"] = hashlib.sha256(written.read_bytes()).hexdigest()
    written.with_suffix(".json").write_text(json.dumps(facts))
    with pytest.raises(DataError, match="reads other rows"):
        pipeline.read_snapshot(written)


def test_a_file_that_another_writer_made_of_the_same_rows_is_as_good(written, rows):
    rows.write_parquet(written, compression="snappy")
    facts = json.loads(written.with_suffix(".json").read_text())
    facts["sha256"] = hashlib.sha256(written.read_bytes()).hexdigest()
    written.with_suffix(".json").write_text(json.dumps(facts))
    assert pipeline.read_snapshot(written).equals(rows)


def test_a_missing_file_says_how_to_fetch_it(written):
    written.unlink()
    with pytest.raises(UnreadableFile, match="dvc pull"):
        pipeline.read_snapshot(written)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"layout": 2}', '{"layout": 1}', "\udcff"])
def test_a_damaged_or_foreign_statement_is_refused(written, text):
    written.with_suffix(".json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UnreadableFile):
        pipeline.read_snapshot(written)


def test_a_missing_statement_is_refused(written):
    written.with_suffix(".json").unlink()
    with pytest.raises(UnreadableFile, match="no statement"):
        pipeline.read_snapshot(written)


def test_a_snapshot_of_another_zone_is_refused(written):
    with pytest.raises(ConfigError, match="of DK_1, not of DK_2"):
        pipeline.read_snapshot(written, zone=DK_2)


def test_no_load_makes_no_snapshot(store, tmp_path):
    for what in ({"zone": DK_2}, {"zone": DK_1, "as_of": datetime(2020, 1, 1, tzinfo=UTC)}):
        with pytest.raises(OutsideData, match="no load"):
            pipeline.write_snapshot(store, out=tmp_path / "none.parquet", **what)
    assert list(tmp_path.iterdir()) == []


def test_another_ending_is_refused(store, tmp_path):
    with pytest.raises(ConfigError, match="neither"):
        pipeline.write_snapshot(store, zone=DK_1, out=tmp_path / "snapshot.csv")


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_no_cell_can_change_without_the_digest(rows, name):
    kind = OBSERVATIONS[name]
    change = {pl.String(): pl.col(name) + "x", pl.Float64(): pl.col(name) + 1e-9}.get(
        kind, pl.col(name) + pl.duration(microseconds=1)
    )
    first = pl.int_range(pl.len()) == 0
    other = rows.with_columns(pl.when(first).then(change).otherwise(pl.col(name)).cast(kind).alias(name))
    assert digest(other) != digest(rows)


def test_text_that_moves_from_one_cell_to_the_next_changes_the_digest(rows):
    two = rows.head(2)
    one, other = (two.with_columns(source=pl.Series(words)) for words in (["ab", "c"], ["a", "bc"]))
    assert digest(one) != digest(other)


def test_the_sign_of_a_zero_leaves_no_trace(written, rows, tmp_path):
    zero = rows.with_columns(pl.when(pl.col("value") == 0).then(-0.0).otherwise(pl.col("value")).alias("value"))
    assert (zero["value"] == 0).any()
    with Store("sqlite://") as other:
        other.put(zero)
        pipeline.write_snapshot(other, zone=DK_1, out=tmp_path / "other.parquet")
    assert (tmp_path / "other.parquet").read_bytes() == written.read_bytes()
