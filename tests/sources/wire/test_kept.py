"""Kept answers come back as they were, and what is damaged is named."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcast.errors import ConfigError, Refused, StoreError
from gridcast.sources.fetched import Answer
from gridcast.sources.wire import Kept
from scripted import FREE, Scripted, answer

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def made(body: bytes = b"<load/>", *, at: datetime = NOON, source: str = "entsoe", **more: object) -> Answer:
    facts = {"params": {"documentType": "A65"}, "status": 200, "headers": {"content-type": "text/xml"}} | more
    return Answer(
        source=source,
        url="https://web-api.tp.entsoe.eu/api",
        body=body,
        fetched_at=at,
        sha256=hashlib.sha256(body).hexdigest(),
        **facts,
    )


def files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.rglob(pattern))


def test_what_is_kept_comes_back_as_it_was_oldest_first(kept):
    several = [made(bytes([number]) * 9, at=NOON + timedelta(hours=number)) for number in range(40)]
    for each in random.Random(1).sample(several, k=40):
        kept.keep(each)
    assert list(kept.answers("entsoe")) == several
    assert list(kept.answers("energidata")) == []
    assert kept.verify() == []


@settings(max_examples=30)
@given(
    bodies=st.lists(st.binary(max_size=200), max_size=8),
    params=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3),
    seconds=st.integers(0, 10**6),
)
def test_any_body_and_any_parameters_come_back(bodies, params, seconds, tmp_path_factory):
    kept = Kept(tmp_path_factory.mktemp("kept"))
    several = [
        made(body, at=NOON + timedelta(seconds=seconds * number), params=params) for number, body in enumerate(bodies)
    ]
    for each in several:
        kept.keep(each)
    assert list(kept.answers("entsoe")) == several
    assert kept.verify() == []


def test_the_same_body_is_stored_once_and_each_answer_remembered(kept, tmp_path):
    for minute in range(5):
        kept.keep(made(at=NOON + timedelta(minutes=minute)))
    kept.keep(made(source="entsoe:files"))
    assert len(files(tmp_path, "*.gz")) == 1
    assert (len(list(kept.answers("entsoe"))), len(list(kept.answers("entsoe:files")))) == (5, 1)


def test_the_same_answer_makes_the_same_bytes(tmp_path):
    written = []
    for name in ("a", "b"):
        Kept(tmp_path / name).keep(made(b"load" * 999))
        written.append([(file.name, file.read_bytes()) for file in files(tmp_path / name, "*.*")])
    assert written[0] == written[1] != []


def test_only_headers_that_say_something_about_the_answer_are_kept(kept):
    kept.keep(made(headers={"content-type": "text/xml", "set-cookie": "id=1", "x-request-id": "7", "etag": "a"}))
    assert next(kept.answers("entsoe")).headers == {"content-type": "text/xml", "etag": "a"}


def test_an_answer_that_is_not_data_is_kept_but_not_replayed(kept, tmp_path):
    kept.keep(made(b"no", status=400), accepted=False)
    assert (list(kept.answers("entsoe")), len(files(tmp_path, "*.gz"))) == ([], 1)


def test_the_wire_keeps_answers_and_errors_before_anybody_reads_them(wire, kept, tmp_path):
    with Scripted(
        answer(503, b"down"), answer(200, b"<a/>"), answer(404, b"gone"), answer(200, b"x", length=5)
    ) as server:
        wire().get(server.url, params={"q": "1"}, permit=FREE)
        with pytest.raises(Refused):
            wire().get(server.url, params={}, permit=FREE)
    assert [(each.body, each.params, each.url) for each in kept.answers("grid")] == [(b"<a/>", {"q": "1"}, server.url)]
    assert sorted(gzip.decompress(file.read_bytes()) for file in files(tmp_path, "*.gz")) == [b"<a/>", b"down", b"gone"]


def test_a_line_cut_by_a_crash_costs_that_line_alone_and_is_reported(kept, tmp_path, caplog):
    for hour in range(3):
        kept.keep(made(bytes([hour]), at=NOON + timedelta(hours=hour)))
    (day,) = files(tmp_path, "*.jsonl")
    whole = day.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for length in (last + 1, last + 50, len(whole) - 2):
        day.write_bytes(whole[:length])
        kept.keep(made(b"new", at=NOON + timedelta(hours=5)))
        assert [each.body for each in kept.answers("entsoe")] == [b"\0", b"\1", b"new"]
        assert [str(day) in sentence for sentence in kept.verify()] == [True]
        assert "cut or damaged" in caplog.text


def test_a_damaged_or_missing_body_is_named_and_never_handed_out(kept, tmp_path):
    for number in range(3):
        kept.keep(made(bytes([number]) * 99, at=NOON + timedelta(hours=number)))
    bodies = [files(tmp_path, f"{hashlib.sha256(bytes([number]) * 99).hexdigest()}.gz")[0] for number in range(2)]
    bodies[0].write_bytes(gzip.compress(b"another body"))
    bodies[1].unlink()
    assert [str(body) in sentence for body, sentence in zip(bodies, kept.verify(), strict=True)] == [True, True]
    with pytest.raises(StoreError, match="is damaged"):
        list(kept.answers("entsoe"))
    kept.keep(made(bytes(99), at=NOON + timedelta(hours=9)))
    assert "is missing" in kept.verify()[0]


def test_no_flipped_bit_goes_unnoticed_or_changes_an_answer(kept, tmp_path):
    for number in range(4):
        kept.keep(made(random.Random(number).randbytes(50), at=NOON + timedelta(hours=number)))
    originals = list(kept.answers("entsoe"))
    chance = random.Random(5)
    written = [*files(tmp_path, "*.gz"), *files(tmp_path, "*.jsonl")]
    for _ in range(150):
        file = chance.choice(written)
        good = file.read_bytes()
        place = chance.randrange(len(good))
        file.write_bytes(good[:place] + bytes([good[place] ^ 1 << chance.randrange(8)]) + good[place + 1 :])
        try:
            found = list(kept.answers("entsoe"))
        except StoreError:
            assert kept.verify() != []
        else:
            # A bit of gzip's own header (a time, a system) or an empty line may change without changing an answer.
            assert found == originals or (kept.verify() != [] and all(each in originals for each in found))
        file.write_bytes(good)
    assert kept.verify() == []


def test_pruning_forgets_whole_days_and_the_bodies_that_nobody_else_uses(kept, tmp_path):
    for day in range(10):
        kept.keep(made(bytes([day]), at=NOON + timedelta(days=day)))
        kept.keep(made(b"always the same", at=NOON + timedelta(days=day)))
    assert kept.prune(NOON + timedelta(days=7)) == 14
    assert kept.verify() == []
    assert [each.fetched_at.day for each in kept.answers("entsoe")] == [29, 29, 30, 30, 1, 1]
    assert len(files(tmp_path, "*.gz")) == 4
    assert kept.prune(NOON + timedelta(days=7)) == 0
    assert kept.prune((NOON + timedelta(days=99)).astimezone(timezone(timedelta(hours=2)))) == 6
    assert files(tmp_path, "*.*") == []


def test_a_prune_that_was_stopped_is_mended_by_the_next(kept, tmp_path):
    kept.keep(made())
    (body,) = files(tmp_path, "*.gz")
    body.rename(body.with_name(body.name + ".gone"))
    body.with_name("left.new").write_bytes(b"half")
    os.utime(body.with_name("left.new"), (0, 0))
    assert kept.verify() != []
    assert kept.prune(NOON) == 0
    assert (kept.verify(), files(tmp_path, "*.new")) == ([], [])


def test_an_answer_with_a_wrong_hash_or_a_source_that_is_a_path_is_refused(kept, tmp_path):
    wrong = Answer(**{**vars(made()), "body": b"other"})
    for each in (wrong, made(source="../../etc"), made(source=".."), made(source=""), made(source="a/b")):
        with pytest.raises(ConfigError):
            kept.keep(each)
    assert files(tmp_path, "*.*") == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "kept").write_text("a file")
    with pytest.raises(StoreError, match="kept"):
        Kept(tmp_path / "kept").keep(made())
