"""The forecast log: whatever is changed in it is found, and named. On PostgreSQL too: GRIDCAST_TEST_POSTGRES_URL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from gridcast.errors import BadTime, DataError, StoreError
from gridcast.store import chain
from gridcast.store.chain import HASHED
from gridcast.store.database import Store
from gridcast.store.journal import RETAINED, Entry, Head, Journal, canonical
from gridcast.store.tables import ISSUED, JOURNAL, JOURNAL_BEGINS, JOURNAL_HEAD
from stores import HOUR, START, issued

COUNT = 6
place = JOURNAL.c.number


def entry(number: int, **changes: object) -> Entry:
    plain = {
        "kind": "on_demand",
        "at": START + number * HOUR,
        "zone": "DK_1",
        "model_version": "v1",
        "request": canonical({"load": [number, 0.1]}),
        "answer": canonical({"value": number}),
    }
    return Entry(**plain | changes)


@pytest.fixture
def journal(store: Store) -> Journal:
    """A journal of six entries."""
    made = Journal(store)
    for number in range(1, COUNT + 1):
        assert made.append(entry(number)).number == number
    assert made.verify() == []
    return made


def change(store: Store, *statements: sa.Executable) -> None:
    """What somebody does who has the database's password."""
    with store.database.engine.begin() as connection:
        for statement in statements:
            connection.execute(statement)


def row(store: Store, number: int) -> dict[str, object]:
    with store.database.engine.begin() as connection:
        return dict(connection.execute(sa.select(JOURNAL).where(place == number)).mappings().one())


def test_what_was_appended_is_read_back(store: Store, journal: Journal) -> None:
    found = list(journal.entries())
    assert [each.number for each in found] == list(range(1, COUNT + 1))
    for each in found:
        assert entry(each.number) == Entry(each.kind, each.at, each.zone, each.model_version, each.request, each.answer)
    assert journal.head() == Head(COUNT, found[-1].hash)
    assert Journal(store).append(entry(7)).number == 7


def test_entries_are_chosen_by_kind_zone_time_and_number(journal: Journal) -> None:
    journal.append(entry(7, kind="classic", zone=""))
    journal.append(entry(8, zone="DK_2"))

    def numbers(**chosen: object) -> list[int]:
        return [each.number for each in journal.entries(**chosen)]

    assert numbers(kind="classic") == [7]
    assert numbers(zone="DK_2") == [8]
    assert numbers(start=START + 5 * HOUR, end=START + 7 * HOUR) == [5, 6]
    assert numbers(numbers=[8, 2, 2, 99]) == [2, 8]
    assert numbers(numbers=[]) == []


def test_a_long_journal_is_read_page_by_page(store: Store, monkeypatch: pytest.MonkeyPatch, journal: Journal) -> None:
    monkeypatch.setattr(chain, "_PAGE", 2)
    assert len(list(journal.entries())) == COUNT
    assert journal.verify() == []
    change(store, sa.delete(JOURNAL).where(place == 3))
    assert journal.verify() == ["entry 3 is missing"]


def test_the_hash_of_an_entry_stays_what_it_was_when_it_was_invented() -> None:
    with Store("sqlite://") as store:
        assert Journal(store).head() == Head(0, JOURNAL_BEGINS)
        assert Journal(store).append(entry(1)).hash == (
            "911aa6e417b2f5d691cceec9f070ac41642d24204723bf1adfde246c8a1aef42"
        )


OTHER = {
    "number": 99,
    "kind": "issued",
    "at": 1,
    "zone": "DK_2",
    "model_version": "v2",
    "request_sha256": "0" * 64,
    "answer_sha256": "0" * 64,
    "previous": "1" * 64,
    "hash": "0" * 64,
    "request": chain.packed(b"{}"),
    "answer": chain.packed(b"{}"),
}


@pytest.mark.parametrize("column", [column.name for column in JOURNAL.columns])
def test_an_edit_of_any_column_of_any_entry_is_found_where_it_is(store: Store, journal: Journal, column: str) -> None:
    for number in (1, 3, COUNT):
        before = row(store, number)
        change(store, sa.update(JOURNAL).where(place == number).values({column: OTHER[column]}))
        found = journal.verify()
        assert any(f"entry {number} " in line for line in found), found
        change(store, sa.update(JOURNAL).where(place == (99 if column == "number" else number)).values(before))
        assert journal.verify() == []


@pytest.mark.parametrize("name", ["request", "answer"])
@pytest.mark.parametrize("body", [None, b"", b"no zlib", chain.packed(b"")])
def test_a_body_that_was_taken_or_spoilt_is_found(
    store: Store, journal: Journal, name: str, body: bytes | None
) -> None:
    change(store, sa.update(JOURNAL).where(place == 2).values({name: body}))
    (line,) = journal.verify()
    assert f"the {name} of entry 2 is" in line


def test_a_body_that_was_spoilt_is_not_handed_out(store: Store, journal: Journal) -> None:
    change(store, sa.update(JOURNAL).where(place == 2).values(answer=b"no zlib"))
    with pytest.raises(StoreError, match="the answer of entry 2 of the journal is damaged"):
        list(journal.entries())


def test_an_edit_with_a_hash_that_fits_is_found_at_the_next_entry(store: Store, journal: Journal) -> None:
    forged = row(store, 3) | {"zone": "DK_2"}
    change(store, sa.update(JOURNAL).where(place == 3).values(zone="DK_2", hash=chain.hash_of(forged)))
    assert journal.verify() == ["entry 4 does not follow entry 3: the hash it names is another"]
    forged = row(store, COUNT) | {"zone": "DK_2"}
    change(store, sa.update(JOURNAL).where(place == COUNT).values(zone="DK_2", hash=chain.hash_of(forged)))
    assert journal.verify()[1:] == [f"the head has another hash than entry {COUNT}"]


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        ([1], "entry 1 is missing"),
        ([3], "entry 3 is missing"),
        ([3, 4], "entries 3 to 4 are missing"),
        ([6], "entry 6 is missing"),
        ([5, 6], "entries 5 to 6 are missing"),
        ([1, 2, 3, 4, 5, 6], "entries 1 to 6 are missing"),
    ],
)
def test_a_deletion_anywhere_is_found(store: Store, journal: Journal, gone: list[int], says: str) -> None:
    change(store, sa.delete(JOURNAL).where(place.in_(gone)))
    assert journal.verify() == [says]


def test_a_swap_of_two_is_found(store: Store, journal: Journal) -> None:
    change(
        store,
        sa.update(JOURNAL).where(place == 2).values(number=99),
        sa.update(JOURNAL).where(place == 5).values(number=2),
        sa.update(JOURNAL).where(place == 99).values(number=5),
    )
    found = journal.verify()
    for number in (2, 5):
        assert f"entry {number} is not the one that was appended: its columns do not make its hash" in found


def test_an_entry_that_was_slipped_in_is_found(store: Store, journal: Journal) -> None:
    last = row(store, COUNT)
    forged = last | {"number": COUNT + 1, "previous": last["hash"]}
    forged["hash"] = chain.hash_of(forged)
    change(store, sa.insert(JOURNAL).values(forged))
    assert journal.verify() == [f"entry 7 is after the head, which says that entry {COUNT} is the last"]
    with pytest.raises(StoreError):
        journal.append(entry(7))


def test_an_entry_below_the_first_is_found(store: Store, journal: Journal) -> None:
    change(store, sa.insert(JOURNAL).values(row(store, 1) | {"number": 0}))
    assert journal.verify() == ["entry 0 has no place: the first is entry 1"]


def test_a_head_that_was_changed_is_found(store: Store, journal: Journal) -> None:
    head = journal.head()
    for changes, says in (
        ({"hash": "0" * 64}, "the head has another hash than entry 6"),
        ({"count": 8}, "entries 7 to 8 are missing"),
        ({"count": 4}, "entries 5 to 6 are after the head, which says that entry 4 is the last"),
    ):
        change(store, sa.update(JOURNAL_HEAD).values(count=head.count, hash=head.hash))
        assert journal.verify() == []
        change(store, sa.update(JOURNAL_HEAD).values(changes))
        assert journal.verify() == [says]


def test_without_its_head_a_journal_takes_no_entry_and_so_no_forecast(store: Store, journal: Journal) -> None:
    change(store, sa.delete(JOURNAL_HEAD))
    assert journal.verify() == ["the journal has 0 heads, not one"]
    with pytest.raises(StoreError, match="0 heads"):
        journal.append(entry(7))
    with pytest.raises(StoreError, match="0 heads"):
        store.put_forecast(issued(1.0), made_at=START, noted=lambda at: entry(7, at=at))
    assert store.forecasts("X").is_empty()
    assert len(list(journal.entries())) == COUNT


def test_a_head_that_was_noted_finds_a_journal_that_was_cut_or_written_anew(store: Store, journal: Journal) -> None:
    noted = journal.head()
    assert journal.verify(noted=noted) == []
    journal.append(entry(7))
    assert journal.verify(noted=noted) == []
    # Whoever may write everything can cut the end and mend the head, and go on from there.
    change(
        store,
        sa.delete(JOURNAL).where(place > 4),
        sa.update(JOURNAL_HEAD).values(count=4, hash=row(store, 4)["hash"]),
    )
    assert journal.verify() == []
    assert journal.verify(noted=noted) == ["entries 5 to 6 are gone, though a head of 6 entries was noted"]
    for number in (8, 9):
        journal.append(entry(number))
    assert journal.verify() == []
    assert journal.verify(noted=noted) == ["entry 6 has another hash than the one that was noted"]


def test_retention_lets_go_of_bodies_and_the_chain_still_holds(store: Store, journal: Journal) -> None:
    noted = journal.head()
    before = START + 4 * HOUR
    assert journal.retain(before=before, dry_run=True) == 3
    assert journal.head() == noted
    assert journal.retain(before=before) == 3
    assert journal.retain(before=before) == 0
    assert journal.verify(noted=noted) == []
    found = list(journal.entries())
    assert [each.kind for each in found] == ["on_demand"] * COUNT + [RETAINED]
    assert [each.request is None for each in found] == [True] * 3 + [False] * 4
    assert [each.answer is None for each in found] == [True] * 3 + [False] * 4
    assert journal.replayable() == [4, 5, 6]
    assert journal.retain(before=START + 6 * HOUR) == 2
    assert [each.number for each in journal.entries() if each.request is not None] == [6, 7, 8]
    assert journal.verify(noted=noted) == []
    with pytest.raises(BadTime):
        journal.retain(before=before.replace(tzinfo=None))


def test_what_no_retention_took_is_missed(store: Store, journal: Journal) -> None:
    journal.retain(before=START + 4 * HOUR)
    # As old as what was let go, but appended after it was.
    journal.append(entry(8, at=START))
    change(store, sa.update(JOURNAL).where(place.in_([5, 8])).values(request=None, answer=None))
    assert journal.verify() == [
        f"the {name} of entry {number} is gone, and no retention took it"
        for number in (5, 8)
        for name in ("request", "answer")
    ]
    # The note of a retention is chained like everything else.
    change(store, sa.update(JOURNAL).where(place == 7).values(at=JOURNAL.c.at + 10 * 3_600_000_000))
    assert "entry 7 is not the one that was appended: its columns do not make its hash" in journal.verify()


def test_an_entry_of_a_retained_time_is_tampered_with_in_vain(store: Store, journal: Journal) -> None:
    journal.retain(before=START + 4 * HOUR)
    change(store, sa.update(JOURNAL).where(place == 2).values(answer_sha256="0" * 64))
    assert journal.verify() == ["entry 2 is not the one that was appended: its columns do not make its hash"]


def test_an_entry_is_noted_with_its_forecast_or_neither_is(store: Store) -> None:
    journal, made = Journal(store), []

    def noted(at: datetime) -> Entry:
        made.append(at)
        return entry(1, at=at)

    def failing(at: datetime) -> Entry:
        raise StoreError("no", remedy="none")

    with pytest.raises(StoreError):
        store.put_forecast(issued(1.0), made_at=START, noted=failing)
    assert store.forecasts("X").is_empty()
    for _ in range(2):  # once is enough
        store.put_forecast(issued(1.0), made_at=START, noted=noted)
    assert made == [START]
    (found,) = journal.entries()
    assert found.at == store.made_at("X", issue_time=START, model_version="v1") == START
    with pytest.raises(StoreError, match="two different rows"):
        store.put_forecast(issued(2.0), made_at=START, noted=noted)
    assert journal.head().count == 1


def test_retention_of_the_store_leaves_the_journal_whole(store: Store, journal: Journal) -> None:
    store.retain(since=START + 1000 * HOUR)
    assert (journal.verify(), journal.head().count) == ([], COUNT)


def test_an_entry_that_is_none_is_refused_before_anything_is_written(journal: Journal) -> None:
    with pytest.raises(BadTime, match="no time zone"):
        journal.append(entry(7, at=START.replace(tzinfo=None)))
    with pytest.raises(DataError, match="the request of an entry is str"):
        journal.append(entry(7, request="{}"))
    assert journal.append(entry(7)).number == 7


def test_threads_that_append_at_once_make_one_chain(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store, ThreadPoolExecutor(16) as pool:
        journal = Journal(store)
        receipts = list(pool.map(lambda number: journal.append(entry(number)), range(400)))
        there = {each.number: each for each in journal.entries()}
        assert sorted(receipt.number for receipt in receipts) == list(range(1, 401))
        for number, receipt in enumerate(receipts):
            assert there[receipt.number].hash == receipt.hash
            assert there[receipt.number].answer == entry(number).answer
        assert journal.verify() == []


def test_entries_of_one_transaction_are_all_there_or_none(journal: Journal) -> None:
    receipts = journal.append_all([entry(number) for number in (7, 8, 9)])
    assert [each.number for each in receipts] == [7, 8, 9]
    assert [each.hash for each in journal.entries(numbers=[7, 8, 9])] == [each.hash for each in receipts]
    with pytest.raises(DataError):
        journal.append_all([entry(10), entry(11, request="{}")])
    assert (journal.head().count, journal.verify()) == (9, [])


def test_an_interruption_leaves_the_journal_usable(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(chain, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.append(entry(7))
    assert journal.append(entry(7)).number == 7
    assert journal.verify() == []


def test_a_database_that_is_gone_is_one_sentence(journal: Journal, store: Store) -> None:
    change(store, sa.schema.DropTable(JOURNAL))
    (line,) = journal.verify()
    assert "cannot be read" in line


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@given(columns=st.lists(st.tuples(texts, texts, texts, st.integers(0, 2**60)), min_size=2, max_size=2, unique=True))
def test_two_entries_that_differ_have_two_hashes(columns: list[tuple[str, str, str, int]]) -> None:
    plain = dict.fromkeys(HASHED, "")
    rows = [plain | {"kind": a, "zone": b, "model_version": c, "at": d} for a, b, c, d in columns]
    assert chain.hash_of(rows[0]) != chain.hash_of(rows[1])


entries = st.builds(
    Entry,
    kind=st.sampled_from(["issued", "on_demand", "classic"]),
    at=st.timedeltas(timedelta(0), timedelta(days=9999)).map(lambda after: START + after),
    zone=texts,
    model_version=texts,
    request=st.binary(max_size=200),
    answer=st.binary(max_size=200),
)


@given(noted=entries)
def test_any_entry_comes_back_as_it_was(noted: Entry) -> None:
    with Store("sqlite://") as store:
        journal = Journal(store)
        journal.append(noted)
        (found,) = journal.entries()
        assert journal.verify() == []
    assert noted == Entry(found.kind, found.at, found.zone, found.model_version, found.request, found.answer)


def test_the_log_is_no_part_of_the_forecasts(store: Store, journal: Journal) -> None:
    with store.database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(ISSUED)).scalar_one() == 0
    assert store.check() == []
