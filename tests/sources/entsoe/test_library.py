"""The File Library as a source, over a real socket: login, listing, files of a month, and what is wrong with them."""

from __future__ import annotations

import io
import json
import random
import time
import traceback
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from gridcast.contracts import LOAD, TSO_FORECAST
from gridcast.errors import BadAnswer, ConfigError, SourceError, Unauthorized
from gridcast.market.zones import zone
from gridcast.sources.endpoints import Endpoints
from gridcast.sources.entsoe import library
from gridcast.sources.entsoe.library import EntsoeFiles
from gridcast.sources.entsoe.monthly import rows, table
from gridcast.sources.wire import Bucket, Kept, Wire
from scripted import Scripted, Send, VirtualClock, answer

DK = zone("DK_1")
PASSWORD = "correct horse battery staple"
NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
START = datetime(2026, 4, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
HEAD = "\t".join(
    [
        *("DateTime(UTC)", "ResolutionCode", "AreaCode", "AreaDisplayName", "AreaTypeCode", "AreaMapCode"),
        *("TotalLoad[MW]", "UpdateTime(UTC)"),
    ]
)


def line(
    at: datetime,
    value: str = "2000.5",
    *,
    resolution: str = "PT60M",
    kind: str = "BZN",
    eic: str = "10YDK-1--------W",
    updated: str | None = None,
    form: str = "%Y-%m-%d %H:%M:%S",
) -> str:
    update = (at + 2 * HOUR).strftime(form) if updated is None else updated
    return f"{at.strftime(form)}\t{resolution}\t{eic}\tDK1\t{kind}\tDK1\t{value}\t{update}"


def text(*lines: str) -> bytes:
    return "\n".join([HEAD, *lines, ""]).encode("utf-8-sig")


def packed(content: bytes, *, name: str = "a.csv", copies: int = 1) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(copies):
            archive.writestr(f"{number}{name}" if copies > 1 else name, content)
    return buffer.getvalue()


def day(at: datetime = START, **options: str) -> bytes:
    return packed(text(*(line(at + n * HOUR, f"{2000 + n}", **options) for n in range(24))))


@dataclass
class Library:
    """A File Library: ``files`` by name; tokens last ``seconds``."""

    files: dict[str, bytes]
    seconds: float = 300.0
    names: list[str] | None = None
    calls: list[str] = field(default_factory=list)
    logins: int = 0
    refuse: int = 0

    def __call__(self, raw: bytes) -> bytes:
        head, _, body = raw.partition(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        self.calls.append(path)
        if path == "/login":
            if b"correct+horse" not in body or b"client_id=tp-fms-public&grant_type=password&username=me" not in body:
                return answer(401, b'{"error":"invalid_grant"}')
            self.logins += 1
            return answer(200, json.dumps({"access_token": f"t{self.logins}", "expires_in": self.seconds}).encode())
        if self.refuse or f"authorization: bearer t{self.logins}".encode() not in head.lower():
            self.refuse = max(0, self.refuse - 1)
            return answer(401, b"expired")
        asked = json.loads(body)
        if path == "/files/listFolder":
            page, size = asked["pageInfo"]["pageIndex"], asked["pageInfo"]["pageSize"]
            folder = asked["path"].strip("/").split("/")[-1]
            names = self.names or [name for name in self.files if folder in name]
            items = [{"name": name, "fileId": name} for name in names[page * size : (page + 1) * size]]
            return answer(200, json.dumps({"contentItemList": items}).encode())
        assert asked["folder"] == f"/TP_export/{asked['filename'][8:-4]}/"
        return answer(200, self.files[asked["filename"]], content_type="application/zip")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def connect(tmp_path, clock) -> Iterator[object]:
    wires = []

    def made(server: Scripted, password: str = PASSWORD) -> EntsoeFiles:
        bucket = Bucket(tmp_path / "bucket.sqlite", clock=clock)
        wires.append(Wire("entsoe-files", clock=clock, bucket=bucket, kept=Kept(tmp_path / "kept")))
        endpoints = Endpoints(entsoe_login=f"{server.url}/login", entsoe_files=f"{server.url}/files")
        return EntsoeFiles(wires[-1], endpoints=endpoints, clock=clock, user="me", password=SecretStr(password))

    yield made
    for wire in wires:
        wire.close()


LOADS = "2026_04_ActualTotalLoad_6.1.A_r3.csv"
FORECASTS = "2026_04_DayAheadTotalLoadForecast_6.1.B_r3.csv"


def test_a_fetch_brings_rows_with_the_publication_that_the_library_reports(connect):
    store = Library({LOADS: day(), FORECASTS: day(updated="2026-04-09 08:15:00.000")})
    with Scripted(Send(store)) as server:
        fetched = connect(server).fetch(DK, start=START, end=START + 24 * HOUR)

    found = fetched.observations
    assert fetched.notes == ()
    assert fetched.doubtful.is_empty()
    assert found.select("source", "published_at_basis").unique().rows() == [("entsoe:files", "reported")]
    loads, forecasts = (found.filter(variable=name) for name in (LOAD, TSO_FORECAST))
    assert loads["value"].to_list() == [2000.0 + n for n in range(24)]
    assert loads["published_at"].to_list() == [START + (n + 2) * HOUR for n in range(24)]
    assert set(forecasts["published_at"]) == {datetime(2026, 4, 9, 8, 15, tzinfo=UTC)}
    assert fetched.due.height == 48
    assert len(fetched.answers) == 2


def test_only_the_months_that_the_period_touches_are_downloaded_and_an_absent_one_is_noted(connect):
    store = Library({LOADS: day(), "2026_01_ActualTotalLoad_6.1.A_r3.csv": day()})
    with Scripted(Send(store)) as server:
        fetched = connect(server).fetch(DK, start=START, end=datetime(2026, 5, 10, tzinfo=UTC), variables=[LOAD])

    assert store.calls == ["/login", "/files/listFolder", "/files/downloadFileContent"]
    assert fetched.notes == ("The File Library has no file 2026_05_ActualTotalLoad_6.1.A_r3.csv.",)
    assert fetched.observations.height == 24
    assert fetched.due.height == 30 * 24


def test_the_login_is_kept_until_it_expires_and_renewed_then(connect, clock):
    store = Library({LOADS: day()})
    with Scripted(Send(store)) as server:
        source = connect(server)
        for expected in (1, 1, 2):
            source.fetch(DK, start=START, end=START + HOUR, variables=[LOAD])
            assert store.logins == expected
            clock.sleep(140)


def test_a_token_that_is_refused_is_renewed_once(connect):
    store = Library({LOADS: day()}, refuse=1)
    with Scripted(Send(store)) as server:
        fetched = connect(server).fetch(DK, start=START, end=START + HOUR, variables=[LOAD])
        assert fetched.observations.height == 1
        assert store.logins == 2
        store.refuse = 2
        with pytest.raises(Unauthorized):
            connect(server).fetch(DK, start=START, end=START + HOUR, variables=[LOAD])


def test_a_wrong_password_is_tried_once_and_stands_in_no_error_and_no_kept_answer(connect, tmp_path, caplog):
    caplog.set_level(0)
    secret = "hunter2-hunter2"
    store = Library({LOADS: day()})
    with Scripted(Send(store)) as server, pytest.raises(Unauthorized) as caught:
        connect(server, secret).fetch(DK, start=START, end=START + HOUR)

    assert store.calls == ["/login"]
    assert secret not in "".join(traceback.format_exception(caught.value)) + repr(caught.value.facts) + caplog.text
    assert not list((tmp_path / "kept").rglob("*.jsonl"))


def test_the_login_and_the_listing_are_never_kept(connect, tmp_path):
    with Scripted(Send(Library({LOADS: day()}))) as server:
        connect(server).fetch(DK, start=START, end=START + HOUR, variables=[LOAD])

    (kept,) = Kept(tmp_path / "kept").answers("entsoe-files")
    assert kept.body[:2] == b"PK"
    assert b"t1" not in b"".join(path.read_bytes() for path in (tmp_path / "kept").rglob("*.jsonl")).replace(
        b"content", b""
    )


def test_a_kept_file_reads_as_the_whole_month(connect, tmp_path):
    with Scripted(Send(Library({LOADS: day()}))) as server:
        source = connect(server)
        fetched = source.fetch(DK, start=START, end=START + 24 * HOUR, variables=[LOAD])
        (kept,) = Kept(tmp_path / "kept").answers("entsoe-files")

        again = source.read(kept, zone=DK)

    assert again.observations.equals(fetched.observations)
    assert again.due.height == 30 * 24


def test_a_long_folder_is_read_page_by_page(connect, monkeypatch):
    monkeypatch.setattr(library, "PAGE", 3)
    names = [f"2025_{month:02}_ActualTotalLoad_6.1.A_r3.csv" for month in range(1, 9)]
    store = Library({LOADS: day()}, names=[*names, LOADS])
    with Scripted(Send(store)) as server:
        fetched = connect(server).fetch(DK, start=START, end=START + HOUR, variables=[LOAD])

    assert store.calls.count("/files/listFolder") == 4
    assert fetched.observations.height == 1


@pytest.mark.parametrize("status", [200, 206])
def test_no_frame_of_a_failed_login_holds_the_session(connect, status):
    body = b'{"access_token":"very-secret-session","expires_in":"soon"}'
    with Scripted(answer(status, body)) as server, pytest.raises(BadAnswer) as caught:
        connect(server).fetch(DK, start=START, end=START + HOUR)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown.stack = traceback.StackSummary.from_list(shown.stack[1:])  # without this test's own frame
    assert "very-secret" not in "".join(shown.format()) + repr(caught.value.facts)


@pytest.mark.parametrize(
    ("login", "fault"),
    [
        (b"{}", "login"),
        (b"[]", "not json"),
        (b"<html>", "not json"),
        (b'{"access_token":"a b","expires_in":3}', "login"),
    ],
)
def test_an_answer_to_the_login_that_is_none_is_an_error_that_shows_nothing_of_it(connect, login, fault):
    with Scripted(answer(200, login)) as server, pytest.raises(BadAnswer) as caught:
        connect(server).fetch(DK, start=START, end=START + HOUR)

    assert caught.value.fault == fault
    assert "a b" not in str(caught.value)


def read(content: bytes, *, variable: str = LOAD):
    return rows(table(content), eic=str(DK.eic), variable=variable, fetched_at=NOW)


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.000", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M"])
def test_every_form_of_time_is_understood(form):
    found, doubtful, notes = read(packed(text(line(START, form=form))))

    assert found["valid_time"].to_list() == [START]
    assert found["published_at"].to_list() == [START + 2 * HOUR]
    assert doubtful.is_empty()
    assert notes == []


def test_of_the_same_area_as_zone_control_area_and_country_the_zone_counts():
    found, _, notes = read(
        packed(text(*(line(START, value, kind=kind) for kind, value in (("CTY", "7"), ("BZN", "5"), ("CTA", "5")))))
    )

    assert found["value"].to_list() == [5.0]
    assert notes == ["In 1 intervals the bidding zone, control area and country of one EIC differ: the first is taken."]


def test_quarters_half_hours_and_hours_stand_in_one_file():
    lines = [
        line(START, "1"),
        line(START + HOUR, "2", resolution="PT30M"),
        line(START + 1.5 * HOUR, "3", resolution="PT30M"),
        *(line(START + (2 + n / 4) * HOUR, f"{4 + n}", resolution="PT15M") for n in range(4)),
    ]

    found, _, _ = read(packed(text(*lines)))

    assert found["value"].to_list() == [1, 2, 3, 4, 5, 6, 7]


def test_rows_without_a_value_or_of_other_areas_are_passed_over_and_one_without_update_is_assumed(connect):
    lines = [line(START, ""), line(START + HOUR, "7", updated=""), line(START, "nonsense", eic="10YDK-2--------M")]
    with Scripted(Send(Library({LOADS: packed(text(*lines))}))) as server:
        fetched = connect(server).fetch(DK, start=START, end=START + 2 * HOUR, variables=[LOAD])

    assert fetched.observations.select("value", "published_at", "published_at_basis").rows() == [
        (7.0, START + 4 * HOUR, "assumed")
    ]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"value": "-3"}, "negative"),
        ({"value": "3000000"}, "above 200000 MW, which no zone reaches"),
        ({"updated": "2026-04-10 00:30:00"}, "a load updated last before its interval was over"),
        ({"updated": "2027-04-10 00:30:00"}, "updated after it was fetched"),
    ],
)
def test_rows_that_no_file_may_hold_are_set_aside(wrong, reason):
    found, doubtful, _ = read(packed(text(line(START, **wrong), line(START + HOUR))))

    assert found.height == 1
    assert doubtful["reason"].to_list() == [reason]


def test_a_forecast_is_updated_before_its_interval():
    found, doubtful, _ = read(packed(text(line(START, updated="2026-04-09 08:00:00"))), variable=TSO_FORECAST)

    assert (found.height, doubtful.height) == (1, 0)


BROKEN = {
    "no zip": (b"PK\3\4 but no", "zip"),
    "html": (b"<html>maintenance</html>", "zip"),
    "empty": (b"", "zip"),
    "cut": (day()[:-40], "zip"),
    "two files": (packed(text(line(START)), copies=2), "zip"),
    "no file": (packed(b"", copies=0), "zip"),
    "a bomb": (packed(b"0" * (30 << 20)), "size"),
    "no text": (packed(b"\xff\xfe\0"), "encoding"),
    "no table": (packed(b""), "table"),
    "other columns": (packed(b"a\tb\n1\t2\n"), "columns"),
    "commas": (packed(text(line(START)).replace(b"\t", b",")), "columns"),
    "a decimal comma": (packed(text(line(START, "2000,5"))), "quantity"),
    "NaN": (packed(text(line(START, "NaN"))), "quantity"),
    "an exponent": (packed(text(line(START, "1e9"))), "quantity"),
    "another resolution": (packed(text(line(START, resolution="P1D"))), "resolution"),
    "off the grid": (packed(text(line(START + 0.5 * HOUR))), "grid"),
    "no time": (packed(text(line(START).replace("2026-04-10", "10.04.2026"))), "time"),
    "a day that does not exist": (packed(text(line(START).replace("2026-04-10", "2026-02-30"))), "time"),
    "an update on a day that does not exist": (packed(text(line(START, updated="2026-02-30 10:00:00"))), "time"),
    "an update that is no time": (packed(text(line(START, updated="soon"))), "time"),
    "an unknown kind of area": (packed(text(line(START, kind="XXX"))), "area"),
    "an interval twice": (packed(text(line(START, "1"), line(START, "2"))), "overlap"),
    "hours and other quarters": (packed(text(line(START, "1"), line(START, "9", resolution="PT15M"))), "overlap"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_an_error(name):
    content, fault = BROKEN[name]
    with pytest.raises(BadAnswer) as caught:
        read(content)

    assert caught.value.fault == fault
    assert str(caught.value).isprintable()


def test_an_error_in_a_file_names_the_file(connect):
    store = Library({LOADS: packed(text(line(START, "x")))})
    with Scripted(Send(store)) as server, pytest.raises(BadAnswer, match=LOADS.replace(".", r"\.")):
        connect(server).fetch(DK, start=START, end=START + HOUR, variables=[LOAD])


def test_file_names_inside_the_archive_lead_nowhere(connect, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = packed(text(line(START)), name="../../escaped.csv")
    with Scripted(Send(Library({LOADS: content}))) as server:
        connect(server).fetch(DK, start=START, end=START + HOUR, variables=[LOAD])

    assert not list(tmp_path.parent.glob("**/escaped.csv"))


def test_500_files_spoilt_at_random_are_read_or_refused():
    dice = random.Random(7)
    content, plain = day(), text(*(line(START + n * HOUR) for n in range(24)))
    began, refused = time.process_time(), []
    for number in range(500):
        body = bytearray(content if number % 2 else plain)
        for _ in range(dice.choice((1, 2, 8))):
            body[dice.randrange(len(body))] = dice.randrange(256)
        try:
            read(bytes(body) if number % 2 else packed(bytes(body)))
        except SourceError as error:
            refused.append(str(error))
    assert all(error.isprintable() and len(error) < 700 for error in refused)
    assert len(refused) > 100
    assert time.process_time() - began < 20


def test_zones_of_files_and_answers_that_are_no_files_are_refused(connect, tmp_path):
    with Scripted(Send(Library({LOADS: day()}))) as server:
        source = connect(server)
        with pytest.raises(ConfigError, match="GB"):
            source.fetch(zone("GB"), start=START, end=START + HOUR)
        source.fetch(DK, start=START, end=START + HOUR, variables=[LOAD])
        (kept,) = Kept(tmp_path / "kept").answers("entsoe-files")
        object.__setattr__(kept, "params", {"json": '{"filename": "../../etc/passwd"}'})
        with pytest.raises(ConfigError, match="no file"):
            source.read(kept, zone=DK)
