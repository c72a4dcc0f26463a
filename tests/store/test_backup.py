"""One file that holds the whole store and shows any damage. On PostgreSQL too: GRIDCAST_TEST_POSTGRES_URL."""

from __future__ import annotations

import hashlib
import json
import math
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

from gridcast.errors import DataError, OutputExists, StoreError
from gridcast.store import backup as room
from gridcast.store import digest
from gridcast.store.backup import Manifest, backup, restore, verify
from gridcast.store.chain import EMPTY, RETAINED
from gridcast.store.database import Store
from gridcast.store.journal import Entry, Journal
from gridcast.store.tables import JOURNAL
from gridcast.store.vintages import Look
from stores import HOUR, START, doubtful, issued, load

NOW = START + 30 * HOUR


def fill(store: Store) -> None:
    """A few rows in every table, of two zones."""
    for zone in ("X", "Y"):
        store.put(load(1.0, 2.0, 1 / 3, zone=zone), looks=[Look(zone, "load", "a", START, NOW, NOW)])
        store.put(load(1.0, 9.0, zone=zone, fetched_at=NOW))
        store.quarantine(doubtful(math.nan, 1e9, math.inf, zone=zone))
        store.quarantine(doubtful(9.0, valid_time=START + HOUR, zone=zone, fetched_at=NOW))
        store.put(load(4.0, variable="price", zone=zone))
        store.quarantine(doubtful(4.0, variable="price", zone=zone, fetched_at=NOW))
        store.put_forecast(issued(1.0, 2.0, zone=zone), made_at=NOW)
        store.release(zone, at=NOW + HOUR, variable="price")
    store.put(load(5.0, variable="temperature_2m", published_at=START))
    journal = Journal(store)
    for hours in (1, 2):
        journal.append(Entry("on_demand", START + hours * HOUR, "X", "v1", b'{"load":[1.5]}', b"\x00\xff"))
    journal.retain(before=START + 2 * HOUR)


def held(store: Store) -> list[pl.DataFrame]:
    return [
        frame
        for zone in ("X", "Y")
        for frame in (
            store.observations([zone]),
            *(store.observations([zone], made_at=NOW + n * HOUR) for n in range(2)),
            store.quarantined(zone),
            store.forecasts(zone),
        )
    ]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    with Store("sqlite://") as store:
        fill(store)
        backup(store, tmp_path / "saved")
    return tmp_path / "saved"


def test_what_is_saved_is_restored(store: Store, tmp_path: Path) -> None:
    fill(store)
    path = tmp_path / "saved"
    manifest = backup(store, path)
    assert {name: table.rows for name, table in manifest.tables.items()} == {
        "observation": 11,
        "forecast": 4,
        "quarantine": 10,
        "look": 2,
        "seal": 2,
        "journal": 3,
    }
    assert (manifest.rows, verify(path)) == (32, manifest)
    assert manifest.journal == Journal(store).head()
    assert [file.name for file in tmp_path.iterdir() if "saved" in file.name] == ["saved"]
    with Store(f"sqlite:///{tmp_path / 'again.db'}") as again:
        assert restore(again, path) == manifest
        assert all(one.equals(other) for one, other in zip(held(store), held(again), strict=True))
        assert again.made_at("X", issue_time=START, model_version="v1") == NOW
        assert [rows["value"].is_in([4.0, 9.0]).sum() for rows in held(again)[:3]] == [1, 0, 1]
        assert again.check() == []
        assert list(Journal(again).entries()) == list(Journal(store).entries())
        assert Journal(again).verify(noted=manifest.journal) == []
        assert backup(again, tmp_path / "second") == manifest
        fill(again)
        assert all(one.equals(other) for one, other in zip(held(store), held(again), strict=True))


def test_a_backup_fits_into_every_database(store: Store, saved: Path, tmp_path: Path) -> None:
    manifest = restore(store, saved)
    assert backup(store, tmp_path / "second") == manifest == verify(saved)


def test_an_empty_store_can_be_saved(store: Store, tmp_path: Path) -> None:
    manifest = backup(store, tmp_path / "saved")
    assert manifest.rows == 0
    assert restore(store, tmp_path / "saved") == manifest


def test_the_same_store_is_the_same_file(tmp_path: Path) -> None:
    with Store("sqlite://") as store:
        fill(store)
        backup(store, tmp_path / "one")
        backup(store, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_flipped_bit_anywhere_is_found(saved: Path, tmp_path: Path) -> None:
    body = saved.read_bytes()
    bits = random.Random(1).sample(range(8 * len(body)), 300)
    damaged = tmp_path / "damaged"
    for bit in [*bits, *range(0, 8 * len(body), 8 * 97), 8 * len(body) - 1, 8 * (len(body) - 65)]:
        spoilt = bytearray(body)
        spoilt[bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(spoilt)
        with pytest.raises(StoreError, match="is no backup"):
            verify(damaged)


@pytest.mark.parametrize("length", [0, 1, 64, 65, 1000, -1])
def test_a_file_that_was_cut_is_found(saved: Path, length: int) -> None:
    saved.write_bytes(saved.read_bytes()[:length])
    with Store("sqlite://") as store, pytest.raises(StoreError, match="is no backup"):
        restore(store, saved)


def rewritten(saved: Path, change: dict[str, object], *, without: Sequence[str] = ()) -> Path:
    """The backup with another manifest and a hash that fits it: what no damage makes, only a person."""
    with zipfile.ZipFile(saved) as old:
        members = {name: old.read(name) for name in old.namelist()}
    facts = json.loads(members["manifest.json"]) | change
    facts = {name: fact for name, fact in facts.items() if name not in without}
    with zipfile.ZipFile(saved, "w") as new:
        for name, member in (members | {"manifest.json": json.dumps(facts).encode()}).items():
            new.writestr(name, member)
        new.comment = b"0" * 64
    body = saved.read_bytes()[:-64]
    saved.write_bytes(body + hashlib.sha256(body).hexdigest().encode())
    return saved


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema_version": 99}, "later gridcast"),
        ({"layout": 2}, "later gridcast"),
        ({"tables": {}}, "is no backup"),
        ({"files": []}, "is no backup"),
        ({"journal": 3}, "is no backup"),
        ({"journal": {"count": 3}}, "is no backup"),
        ({"files": {"nothing/1.parquet": {"rows": 1, "sha256": ""}}}, "is no backup"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(saved: Path, change: dict[str, object], says: str) -> None:
    with pytest.raises(StoreError, match=says):
        verify(rewritten(saved, change))


def test_a_backup_of_a_gridcast_without_a_journal_is_restored(tmp_path: Path) -> None:
    with Store("sqlite://") as store:
        store.put(load(1.0, 2.0))
        backup(store, tmp_path / "saved")
    with zipfile.ZipFile(tmp_path / "saved") as archive:
        tables = json.loads(archive.read("manifest.json"))["tables"]
    assert tables.pop("journal")["rows"] == 0
    older = rewritten(tmp_path / "saved", {"schema_version": 2, "tables": tables}, without=["journal"])
    with Store("sqlite://") as store:
        assert restore(store, older).schema_version == 2
        assert store.observations(["X"]).equals(load(1.0, 2.0))
        assert (Journal(store).head(), Journal(store).verify()) == (EMPTY, [])


def test_a_journal_that_was_changed_before_a_backup_is_found_after_it(tmp_path: Path) -> None:
    with Store("sqlite://") as store:
        fill(store)
        with store.database.engine.begin() as connection:
            connection.execute(sa.delete(JOURNAL).where(JOURNAL.c.kind == RETAINED))
        found = Journal(store).verify()
        backup(store, tmp_path / "saved")
    with Store("sqlite://") as store:
        restore(store, tmp_path / "saved")
        assert Journal(store).verify() == found
        assert "entry 3 is missing" in found


def test_a_store_that_is_not_empty_is_left_alone(saved: Path) -> None:
    with Store("sqlite://") as store:
        store.quarantine(doubtful(7.0))
        with pytest.raises(StoreError, match="has rows in quarantine"):
            restore(store, saved)
        assert store.zones() == []
        assert store.quarantined("X").equals(doubtful(7.0))


def test_a_restore_that_reads_back_something_else_keeps_nothing(
    store: Store, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = room.insert_rows

    def forgetful(connection: object, rows: pl.DataFrame, *, into: object) -> None:
        plain(connection, rows.head(max(1, rows.height - 1)), into=into)  # type: ignore[arg-type]

    monkeypatch.setattr(room, "insert_rows", forgetful)
    with pytest.raises(StoreError, match="does not come back the same"):
        restore(store, saved)
    monkeypatch.undo()
    assert store.zones() == []
    restore(store, saved)


def test_a_file_that_is_there_is_not_overwritten(saved: Path) -> None:
    body = saved.read_bytes()
    with Store("sqlite://") as store, pytest.raises(OutputExists):
        backup(store, saved)
    assert saved.read_bytes() == body


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with Store("sqlite://") as store, pytest.raises(StoreError, match="cannot be written"):
        backup(store, tmp_path / "nowhere" / "saved")
    with pytest.raises(StoreError, match="cannot be read"):
        verify(tmp_path / "nowhere")


def test_a_backup_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with Store("sqlite://") as store:
        fill(store)
        with pytest.raises(StoreError, match="No space left"):
            backup(store, tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


def test_a_backup_is_of_one_instant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with Store(url) as store, Store(url) as other:
        fill(store)
        expected = backup(store, tmp_path / "before")
        plain = room.digest
        monkeypatch.setattr(
            room, "digest", lambda frame: (other.put(load(1.0, zone="Z", fetched_at=NOW + HOUR)), plain(frame))[1]
        )
        assert backup(store, tmp_path / "during") == expected
        monkeypatch.undo()
        after = backup(store, tmp_path / "after")
    assert isinstance(after, Manifest)
    assert after.rows == expected.rows + 1


def test_the_digest_is_of_the_rows_and_not_of_their_order() -> None:
    frame = pl.concat([load(1.0, 2.0, 3.0), load(4.0, zone="Ø")])
    one = digest(frame)
    assert digest(frame.sample(fraction=1.0, shuffle=True, seed=3)) == one
    assert digest(frame.rechunk()) == one
    changes = [
        frame.head(3),
        frame.with_columns(value=pl.col("value") + 1e-9),
        frame.with_columns(zone=pl.lit("X")),
        frame.with_columns(zone=pl.col("source"), source=pl.col("zone")),
        frame.with_columns(fetched_at=pl.col("fetched_at") + HOUR),
        frame.rename({"value": "worth"}),
        pl.concat([frame, frame.head(1)]),
    ]
    assert len({one, *map(digest, changes)}) == len(changes) + 1


def test_the_digest_stays_what_it_was_when_it_was_invented() -> None:
    frame = load(1.0, -2.5)
    assert digest(frame) == "4b77239badd24e45f7941c5cfc02b83012f4eef02c4cc364d960389b48c8e12d"


def test_the_digest_knows_what_is_missing_and_what_is_equal() -> None:
    values = [pl.Series("a", cells, pl.Float64) for cells in ([0.0, 1.0], [-0.0, 1.0], [None, 1.0], [math.nan, 1.0])]
    found = [digest(column.to_frame()) for column in values]
    assert found[0] == found[1]
    assert found[2] == found[3] != found[0]
    assert digest(pl.DataFrame({"a": [None, "b"]})) != digest(pl.DataFrame({"a": ["", "b"]}))
    assert digest(pl.DataFrame({"a": ["b", "c"]})) != digest(pl.DataFrame({"a": ["bc", ""]}))
    assert digest(pl.DataFrame()) == digest(pl.DataFrame())
    with pytest.raises(DataError, match="Boolean"):
        digest(pl.DataFrame({"a": [True]}))


def test_a_million_rows_are_digested_in_about_a_second() -> None:
    import time

    hours = np.arange(1_000_000) * np.timedelta64(3600, "s")
    times = pl.Series("valid_time", np.datetime64("1970-01-01", "us") + hours)
    values = pl.Series("value", np.random.default_rng(1).normal(size=len(hours)))
    frame = load(0.0).drop("valid_time", "value").join(pl.DataFrame([times, values]), how="cross")
    began = time.process_time()
    digest(frame)
    assert time.process_time() - began < 2
