"""The web service as a source, over a real socket: what is asked, what becomes of each answer, where the token goes."""

from __future__ import annotations

import re
import traceback
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from gridcast.contracts import LOAD, TSO_FORECAST
from gridcast.errors import BadAnswer, ConfigError, RateLimited, Refused, SourceError, Unauthorized
from gridcast.market.zones import zone
from gridcast.sources.endpoints import Endpoints
from gridcast.sources.entsoe.api import Entsoe, banned_until
from gridcast.sources.fetched import Answer
from gridcast.sources.wire import Bucket, Kept, Wire
from scripted import Scripted, Send, VirtualClock, answer
from sources.entsoe.documents import FETCHED, START, Load, Period, acknowledgement, levels
from sources.entsoe.fault_classes import LIMIT, NO_DATA_2026

TOKEN = "0b1f9a1e-6f1d-4c55-9d57-5a1d2c3b4e5f"
DK = zone("DK_1")
DAY = timedelta(days=1)
NOW = FETCHED + 400 * DAY
XML = {"content_type": "application/xml"}
PERIOD = {"periodStart": "202603102300", "periodEnd": "202603112300"}


def request_of(raw: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """The query and the headers of a request."""
    head = raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    query = {name: values[0] for name, values in parse_qs(urlsplit(head[0].split()[1]).query).items()}
    return query, {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:])}


def asked(query: dict[str, str]) -> tuple[datetime, datetime]:
    begin, end = (
        datetime.strptime(query[key], "%Y%m%d%H%M").replace(tzinfo=UTC) for key in ("periodStart", "periodEnd")
    )
    return begin, end


def load_of(query: dict[str, str], *, minutes: int = 60) -> Load:
    begin, end = asked(query)
    count = (end - begin) // timedelta(minutes=minutes)
    period = Period(begin, minutes, levels(count, minutes=minutes), "A03")
    eic = query["outBiddingZone_Domain"]
    return Load((period,), process=query["processType"], asked=(begin, end), eic=eic, fetched_at=NOW)


def serve(raw: bytes) -> bytes:
    """A service that has everything."""
    return answer(200, load_of(request_of(raw)[0]).xml().encode(), **XML)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def connect(tmp_path, clock):
    wires = []

    def made(server: Scripted, *, token: str | None = TOKEN, **options: object) -> Entsoe:
        wire = Wire(
            "entsoe",
            clock=clock,
            bucket=Bucket(tmp_path / "bucket.sqlite", clock=clock),
            kept=Kept(tmp_path / "kept"),
            **options,
        )
        wires.append(wire)
        secret = None if token is None else SecretStr(token)
        return Entsoe(wire, endpoints=Endpoints(entsoe=f"{server.url}/api"), clock=clock, token=secret)

    yield made
    for wire in wires:
        wire.close()


def test_a_fetch_brings_both_variables_with_an_assumed_publication_and_says_what_was_due(connect, clock):
    with Scripted(Send(serve)) as server:
        fetched = connect(server).fetch(DK, start=START, end=START + DAY)

    rows = fetched.observations
    assert fetched.doubtful.is_empty()
    assert fetched.notes == ()
    assert len(fetched.answers) == 2
    assert rows.select("zone", "published_at_basis", "source").unique().rows() == [("DK_1", "assumed", "entsoe")]
    assert set(rows["fetched_at"]) == {clock.now()}
    loads, forecasts = (rows.filter(variable=name) for name in (LOAD, TSO_FORECAST))
    assert loads["value"].to_list() == [float(text) for text in levels(24, minutes=60)]
    assert loads["published_at"].to_list() == [when + timedelta(hours=3) for when in loads["valid_time"]]
    assert set(forecasts["published_at"]) == {datetime(2026, 3, 10, 9, tzinfo=UTC)}
    assert fetched.due.select("variable", "valid_time").rows() == rows.select("variable", "valid_time").rows()


def test_the_request_names_item_area_and_whole_utc_hours_and_hides_the_token_in_a_header(connect):
    with Scripted(Send(serve)) as server:
        source = connect(server)
        fetched = source.fetch(
            DK, start=START + timedelta(minutes=20), end=START + timedelta(minutes=130), variables=[LOAD]
        )

        query, headers = request_of(server.requests[0])

    assert query == {
        "documentType": "A65",
        "processType": "A16",
        "outBiddingZone_Domain": "10YDK-1--------W",
        "periodStart": "202603102300",
        "periodEnd": "202603110200",
    }
    assert headers["security_token"] == TOKEN
    assert fetched.observations["valid_time"].to_list() == [START + timedelta(hours=n) for n in (1, 2)]


def test_years_are_asked_for_one_by_one(connect):
    with Scripted(Send(serve)) as server:
        fetched = connect(server).fetch(DK, start=START - 800 * DAY, end=START, variables=[LOAD])
        spans = [asked(request_of(raw)[0]) for raw in server.requests]

    assert spans == [(START - n * DAY, START - m * DAY) for n, m in ((800, 435), (435, 70), (70, 0))]
    assert fetched.observations.height == fetched.due.height == 800 * 24


def test_what_the_service_finds_too_long_is_split_until_it_does_not(connect):
    def modest(raw: bytes) -> bytes:
        begin, end = asked(request_of(raw)[0])
        return serve(raw) if end - begin <= 10 * DAY else answer(400, acknowledgement(LIMIT).encode(), **XML)

    with Scripted(Send(modest)) as server:
        fetched = connect(server).fetch(DK, start=START, end=START + 37 * DAY, variables=[LOAD])

    assert fetched.observations.height == 37 * 24
    assert fetched.observations["valid_time"].is_sorted()


def test_a_limit_that_even_a_day_exceeds_is_an_error(connect):
    with (
        Scripted(answer(400, acknowledgement(LIMIT).encode(), **XML)) as server,
        pytest.raises(Refused, match="exceeds allowed limit"),
    ):
        connect(server).fetch(DK, start=START, end=START + 3 * DAY, variables=[LOAD])


def test_a_part_that_fails_fails_the_whole_and_the_error_says_how_far_it_came(connect):
    def breaks(raw: bytes) -> bytes:
        query, _ = request_of(raw)
        return serve(raw) if query["processType"] == "A16" else answer(400, acknowledgement("Not today.").encode())

    with Scripted(Send(breaks)) as server, pytest.raises(Refused) as caught:
        connect(server).fetch(DK, start=START, end=START + DAY)

    assert caught.value.reason == "Not today."
    assert "load_forecast_tso of DK_1 from 2026-03-10T23:00Z to 2026-03-11T23:00Z" in caught.value.what
    assert "1 of 2 requests had been answered" in caught.value.what
    assert caught.value.done == 1


@pytest.mark.parametrize("status", [200, 400])
def test_no_data_is_an_empty_answer_in_which_every_interval_was_due(connect, status):
    with Scripted(answer(status, acknowledgement(NO_DATA_2026).encode(), **XML)) as server:
        fetched = connect(server).fetch(DK, start=START, end=START + DAY, variables=[LOAD])

    assert fetched.observations.is_empty()
    assert fetched.due.height == 24
    assert "No matching data found" in fetched.notes[0]


def test_doubtful_rows_are_set_aside_and_the_others_stand(connect):
    def negative(raw: bytes) -> bytes:
        text = load_of(request_of(raw)[0]).xml()
        return answer(200, re.sub(r"<quantity>2", "<quantity>-2", text, count=1).encode(), **XML)

    with Scripted(Send(negative)) as server:
        fetched = connect(server).fetch(DK, start=START, end=START + DAY, variables=[LOAD])

    assert fetched.observations.height == 23
    assert fetched.doubtful.select("valid_time", "value", "reason").rows() == [(START, -2000.0, "negative")]
    assert fetched.due.height == 24


MAINTENANCE = answer(200, b"<html><body>Scheduled maintenance</body></html>", content_type="text/html")


def test_a_maintenance_page_with_status_200_is_worth_two_more_attempts(connect, clock):
    with Scripted(MAINTENANCE, MAINTENANCE, Send(serve)) as server:
        fetched = connect(server).fetch(DK, start=START, end=START + DAY, variables=[LOAD])
        assert len(server.requests) == 3

    assert fetched.observations.height == 24
    assert sum(clock.slept) >= 25


def test_a_maintenance_page_that_stays_is_an_error(connect):
    with Scripted(MAINTENANCE) as server:
        with pytest.raises(BadAnswer, match="Scheduled maintenance") as caught:
            connect(server).fetch(DK, start=START, end=START + DAY, variables=[LOAD])
        assert len(server.requests) == 3

    assert caught.value.fault == "html"


def test_a_wrong_answer_is_not_asked_for_again(connect):
    def other(raw: bytes) -> bytes:
        return answer(200, load_of(request_of(raw)[0]).of(eic="10YDK-2--------M").xml().encode(), **XML)

    with Scripted(Send(other)) as server:
        with pytest.raises(BadAnswer) as caught:
            connect(server).fetch(DK, start=START, end=START + DAY, variables=[LOAD])
        assert len(server.requests) == 1

    assert caught.value.fault == "area"


def test_503_with_a_page_is_asked_again_and_404_in_plain_text_is_refused(connect):
    page = answer(503, b"<html><body>Service Temporarily Unavailable</body></html>", content_type="text/html")
    with Scripted(page, page, Send(serve)) as server:
        assert connect(server).fetch(DK, start=START, end=START + DAY, variables=[LOAD]).observations.height == 24
    gone = answer(404, b"404 page not found", content_type="text/plain")
    with Scripted(gone) as server, pytest.raises(Refused, match="404 page not found"):
        connect(server).fetch(DK, start=START, end=START + DAY, variables=[LOAD])


BAN_PAGE = "<html><body><p>Requester banned until '{}'.</p></body></html>"


@pytest.mark.parametrize("status", [200, 400, 429])
@pytest.mark.parametrize(
    "body", [BAN_PAGE, "<!DOCTYPE html>" + BAN_PAGE, "Requester banned until '{}'.", acknowledgement("Banned until {}")]
)
def test_a_ban_is_a_ban_whatever_its_status(connect, clock, status, body):
    until = clock.now() + timedelta(minutes=5)
    page = answer(status, body.format(f"{until:%Y-%m-%dT%H:%M:%S}.000Z").encode())
    with Scripted(page, Send(serve)) as server:
        assert connect(server).fetch(DK, start=START, end=START + DAY, variables=[LOAD]).observations.height == 24
        assert len(server.requests) == 2
    assert timedelta(seconds=0) <= clock.now() - until <= timedelta(seconds=1)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("prolog", [b"", b"\xef\xbb\xbf", b"<!-- banned until -->", b"  "])
def test_a_document_is_never_taken_for_a_ban(status, prolog):
    words = b"Max allowed requests per minute: banned until '2027-01-01T00:00:00Z'"
    text = load_of({"outBiddingZone_Domain": "10YDK-1--------W", "processType": "A16", **PERIOD}).xml().encode()
    said = text.replace(b"<mRID>1<", b"<Reason><text>" + words + b"</text></Reason><mRID>1<")
    bare = said.partition(b"?>")[2].strip()
    for body in (prolog + said, prolog + bare, prolog + re.sub(rb"<(/?)([A-Za-z])", rb"<\1n:\2", bare)):
        assert words in body
        assert banned_until(Answer("entsoe", "", {}, status, {}, body, NOW, "")) is None


@pytest.mark.parametrize("body", [b"PK\3\4 banned until", b"\x1f\x8b banned until", b"<xml> banned until"])
def test_what_is_no_text_is_no_ban(body):
    assert banned_until(Answer("entsoe", "", {}, 200, {}, body, NOW, "")) is None
    assert banned_until(Answer("entsoe", "", {}, 429, {}, body, NOW, "")) == NOW + timedelta(minutes=10)


PAST = BAN_PAGE.format("2020-01-01T00:00:00Z").encode()


@pytest.mark.parametrize(("status", "body"), [(429, b""), (429, b"Too many"), (429, PAST), (400, PAST), (200, PAST)])
def test_a_limit_that_says_not_how_long_is_a_ban_of_ten_minutes_if_it_stays(connect, clock, status, body):
    began = clock.now()
    with Scripted(answer(status, body)) as server:
        with pytest.raises(RateLimited):
            connect(server).fetch(DK, start=START, end=START + DAY, variables=[LOAD])
        assert len(server.requests) == 5
    assert timedelta(minutes=20) <= clock.now() - began < timedelta(minutes=21)


@pytest.mark.parametrize(
    ("body", "minutes"),
    [
        (b"<html><body><p>Requester banned until '%s'.</p></body></html>", 4),
        (b"Max allowed requests per minute from each unique IP is max up to 400 only", 10),
        (b"<p>Requester banned until '2026-99-99T10:01:55.545Z'.</p>", 10),
    ],
)
def test_a_ban_is_sat_out_to_the_second(connect, clock, body, minutes):
    began = clock.now()
    until = f"{began + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S}.000Z".encode()
    with Scripted(answer(429, body.replace(b"%s", until)), Send(serve)) as server:
        fetched = connect(server).fetch(DK, start=START, end=START + DAY, variables=[LOAD])

    assert fetched.observations.height == 24
    assert timedelta(minutes=minutes) <= clock.now() - began < timedelta(minutes=minutes, seconds=30)


def test_a_ban_longer_than_our_patience_is_an_error_that_says_until_when(connect, clock):
    until = clock.now() + timedelta(hours=2)
    body = f"Requester banned until '{until:%Y-%m-%dT%H:%M:%S}.5Z'.".encode()
    with Scripted(answer(429, body)) as server, pytest.raises(RateLimited) as caught:
        connect(server).fetch(DK, start=START, end=START + DAY, variables=[LOAD])

    assert abs(caught.value.until - until) <= timedelta(seconds=1)


def only_query(raw: bytes) -> bytes:
    query, headers = request_of(raw)
    if query.get("securityToken") != TOKEN or "security_token" in headers:
        return answer(401, acknowledgement("Unauthorized.").encode())
    return serve(raw)


def test_where_the_header_is_not_accepted_the_query_is_tried_once_and_remembered(connect, tmp_path):
    with Scripted(Send(only_query)) as server:
        fetched = connect(server).fetch(DK, start=START, end=START + DAY)
        queries = [request_of(raw)[0].get("securityToken") for raw in server.requests]

    assert fetched.observations.height == 48
    assert queries == [None, TOKEN, TOKEN]
    assert all(TOKEN.encode() not in path.read_bytes() for path in (tmp_path / "kept").rglob("*.jsonl"))


def test_a_wrong_token_is_tried_in_both_places_once_and_appears_in_no_error(connect, caplog):
    caplog.set_level(0)

    def echo(raw: bytes) -> bytes:
        return answer(401, raw)

    with Scripted(Send(echo)) as server:
        source = connect(server)
        for _ in range(2):
            with pytest.raises(Unauthorized) as caught:
                source.fetch(DK, start=START, end=START + DAY)
            told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.facts) + caplog.text
            assert TOKEN not in told
        assert len(server.requests) == 3


def test_without_a_token_a_simulator_is_asked_and_the_service_is_not(tmp_path, clock):
    with Wire("entsoe", clock=clock, bucket=Bucket(tmp_path / "bucket.sqlite", clock=clock)) as wire:
        with Scripted(Send(serve)) as server:
            local = Entsoe(wire, endpoints=Endpoints(entsoe=server.url), clock=clock, token=None)
            assert local.fetch(DK, start=START, end=START + DAY).observations.height == 48
        with pytest.raises(Unauthorized, match="ENTSOE_API_KEY"):
            Entsoe(wire, endpoints=Endpoints(), clock=clock, token=None).fetch(DK, start=START, end=START + DAY)


def test_a_kept_answer_reads_as_it_did_when_it_was_fetched(connect, tmp_path):
    with Scripted(Send(serve)) as server:
        source = connect(server)
        fetched = source.fetch(DK, start=START, end=START + DAY, variables=[TSO_FORECAST])

        (kept,) = Kept(tmp_path / "kept").answers("entsoe")
        again = source.read(kept, zone=DK)

    assert again.observations.equals(fetched.observations)
    assert again.due.equals(fetched.due)
    assert again.answers == fetched.answers
    with pytest.raises(ConfigError, match="not about DK_2"):
        source.read(kept, zone=zone("DK_2"))


@pytest.mark.parametrize("code", ["GB", "VIC"])
def test_zones_that_come_from_files_are_not_asked_for(connect, code):
    with Scripted(b"") as server, pytest.raises(ConfigError, match=code):
        connect(server).fetch(zone(code), start=START, end=START + DAY)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"variables": ["temperature_2m"]}, "temperature_2m"),
        ({"end": START}, "period"),
        ({"start": START.replace(tzinfo=None)}, "period"),
    ],
)
def test_what_cannot_be_asked_for_is_a_configuration_error(connect, wrong, word):
    with Scripted(b"") as server, pytest.raises(ConfigError, match=word):
        connect(server).fetch(DK, **{"start": START, "end": START + DAY} | wrong)


def test_denmark_as_a_country_is_served(connect):
    with Scripted(Send(serve)) as server:
        fetched = connect(server).fetch(zone("DK"), start=START, end=START + DAY, variables=[LOAD])

    assert set(fetched.observations["zone"]) == {"DK"}


def test_any_broken_answer_is_a_source_error(connect):
    with Scripted(answer(200, b"<GL_MarketDocument")) as server, pytest.raises(SourceError):
        connect(server).fetch(DK, start=START, end=START + DAY)
