"""How long a provider wants to be left alone: Retry-After, bans in words, limits without a hint."""

from __future__ import annotations

import socket
from datetime import timedelta

import pytest

from gridcast.errors import RateLimited, Unauthorized, Unreachable
from gridcast.sources.wire import Limit, Permit
from scripted import FREE, Reset, Scripted, answer

BODY = b"<load>3080</load>"
GOOD = answer(200, BODY, content_type="text/xml")
WAITS = {
    "7": 7,
    "0": 0,
    " 12 ": 12,
    "1.5": 1.5,
    "11, 11": 11,
    "5, 14,9": 14,
    "5, Sun, 22 Nov 2026 10:00:20 GMT": 20,
    "soon, 3": 3,
    "Sun, 22 Nov 2026 10:00:20 GMT": 20,
    "Sun, 22 Nov 2020 10:00:20 GMT": 0,
}
SENSELESS = ("", "-5", "soon", "1e9", "NaN", "٣", "12; 13", "Sun, 99 Foo 2026 10:00:20 GMT", "Mon, 32")


@pytest.mark.parametrize("value", WAITS)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for_and_no_longer(value, status, wire, clock):
    with Scripted(answer(status, retry_after=value), GOOD) as server, wire() as line:
        line.get(server.url, params={}, permit=FREE)
        assert WAITS[value] <= sum(clock.slept) <= WAITS[value] + 0.5
        assert len(server.requests) == 2


@pytest.mark.parametrize("value", SENSELESS)
def test_a_retry_after_without_sense_is_a_failure_like_another(value, wire, clock):
    script = f"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\nRetry-After: {value}\r\n\r\n".encode()
    with Scripted(script, GOOD) as server, wire() as line:
        line.get(server.url, params={}, permit=FREE)
        assert sum(clock.slept) <= 0.5


DAY = 86_400


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3601", 3601), ("7200", 7200), ("9" * 10, DAY), ("9" * 400, DAY), ("Fri, 31 Dec 9999 23:59:59 GMT", DAY)],
)
def test_a_long_retry_after_is_obeyed_and_an_absurd_one_for_a_day(value, seconds, wire, clock):
    now = clock.now()
    with Scripted(answer(429, b"no", retry_after=value), GOOD) as server:
        with pytest.raises(RateLimited) as caught:
            wire().get(server.url, params={}, permit=FREE)
        assert (caught.value.until, len(server.requests)) == (now + timedelta(seconds=seconds), 1)


def test_a_wait_of_two_hours_is_waited_out_where_patience_allows_it(wire, clock):
    with Scripted(answer(429, b"no", retry_after="7200"), GOOD) as server, wire(patience=7200.0) as line:
        line.get(server.url, params={}, permit=FREE)
        assert (sum(clock.slept), len(server.requests)) == (7200, 2)


def test_a_date_to_wait_for_is_read_by_the_servers_own_clock(wire, clock):
    headers = {"date": "Sun, 22 Nov 2026 03:00:00 GMT", "retry_after": "Sun, 22 Nov 2026 03:00:40 GMT"}
    with Scripted(answer(503, **headers), GOOD) as server, wire() as line:
        line.get(server.url, params={}, permit=FREE)
        assert sum(clock.slept) == 40


def test_a_wait_beyond_our_patience_is_an_error_for_every_process(wire, clock):
    now = clock.now()
    with Scripted(answer(429, b"300 seconds", retry_after="300"), GOOD) as server:
        for line in (wire(patience=299.0), wire(patience=200.0)):
            with pytest.raises(RateLimited) as caught:
                line.get(server.url, params={}, permit=FREE)
            assert caught.value.until == now + timedelta(seconds=300)
        assert (len(server.requests), clock.slept) == (1, [])
        assert wire(patience=300.0).get(server.url, params={}, permit=FREE).body == BODY
        assert clock.now() == now + timedelta(seconds=300)


def test_waits_add_up_until_our_patience_ends(wire, clock):
    with Scripted(answer(429, retry_after="60")) as server:
        with pytest.raises(RateLimited) as caught:
            wire(patience=150.0).get(server.url, params={}, permit=FREE)
        assert (len(server.requests), sum(clock.slept), caught.value.attempts) == (3, 120, 3)


def test_a_ban_told_in_the_body_is_waited_out(wire, clock):
    until = clock.now() + timedelta(minutes=9)
    with Scripted(answer(429, f"Requester banned until '{until.isoformat()}'".encode()), GOOD) as server:
        line = wire()
        found = line.get(server.url, params={}, permit=FREE, wait_for=lambda a: until if a.status == 429 else None)
        assert found.body == BODY
    assert clock.now() == until


def test_a_ban_is_never_believed_for_more_than_a_day(wire, clock):
    now = clock.now()
    with Scripted(answer(429, b"x")) as server, pytest.raises(RateLimited) as caught:
        wire().get(server.url, params={}, permit=FREE, wait_for=lambda _: now + timedelta(days=365_000))
    assert caught.value.until == now + timedelta(days=1)


@pytest.mark.parametrize("status", [200, 400])
def test_a_ban_in_an_answer_of_an_accepted_status_is_a_ban_and_no_data(status, wire, clock, kept):
    until = clock.now() + timedelta(minutes=9)
    with Scripted(answer(status, b"banned"), GOOD) as server:
        found = wire().get(
            server.url,
            params={},
            permit=FREE,
            accept=(200, 400),
            wait_for=lambda answer: until if answer.body == b"banned" else None,
        )
        assert len(server.requests) == 2
    assert (found.body, clock.now()) == (BODY, until)
    assert [each.body for each in kept.answers("grid")] == [BODY]


def test_a_limit_without_a_hint_counts_as_a_ban_from_the_third_on(wire, clock):
    began = clock.now()
    with Scripted(answer(429, b"slow down"), answer(429), answer(429), GOOD) as server:
        line = wire(patience=600.0)
        assert line.get(server.url, params={}, permit=FREE, ban=timedelta(minutes=10)).body == BODY
        assert len(server.requests) == 4
    assert timedelta(minutes=10) <= clock.now() - began < timedelta(minutes=10, seconds=3)


def test_one_or_two_limits_without_a_hint_are_soon_asked_again(wire, clock):
    with Scripted(answer(429), answer(429), answer(503), answer(429), answer(429), GOOD) as server:
        wire().get(server.url, params={}, permit=FREE, ban=timedelta(minutes=10))
        assert len(server.requests) == 6
    assert sum(clock.slept) < 20


def test_a_limit_that_stays_is_asked_a_few_times_and_stands_for_every_process(wire, clock):
    with Scripted(answer(429, retry_after="0")) as server:
        with pytest.raises(RateLimited):
            wire(patience=1200.0).get(server.url, params={}, permit=FREE, ban=timedelta(minutes=10))
        assert len(server.requests) == 5
        with pytest.raises(RateLimited) as caught:
            wire(patience=60.0).get(server.url, params={}, permit=FREE)
        assert len(server.requests) == 5
    assert caught.value.until - clock.now() == timedelta(minutes=10)


ONE_A_MINUTE = Permit("grid", (Limit(1, 60, 1),))


def test_a_request_that_never_left_costs_nothing(wire, clock, bucket, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"

    look_up = socket.getaddrinfo

    def few(host, *more, **options):
        if host == "127.0.0.1":
            return look_up(host, *more, **options)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", few)
    for url, fault in ((nobody, "refused"), ("https://api.energidataservice.dk", "no such host")):
        began = clock.now()
        with pytest.raises(Unreachable) as caught:
            wire(budget=180.0).get(url, params={}, permit=ONE_A_MINUTE)
        assert (caught.value.fault, caught.value.attempts) == (fault, 10)
        assert clock.now() - began < timedelta(seconds=180)
    bucket.take(ONE_A_MINUTE, patience=0)


def test_a_request_that_was_cut_off_is_spent(wire, clock):
    began = clock.now()
    with Scripted(Reset(), GOOD) as server:
        wire().get(server.url, params={}, permit=ONE_A_MINUTE)
    assert clock.now() - began >= timedelta(seconds=60)


def test_a_limit_says_until_when_it_lasts_and_names_no_option_that_is_none(wire, clock):
    with Scripted(answer(429, b"no", retry_after="7200")) as server, pytest.raises(RateLimited) as caught:
        wire().get(server.url, params={}, permit=FREE)
    assert f"{caught.value.until:%Y-%m-%d %H:%M:%S} UTC" in str(caught.value)
    assert "patience" not in str(caught.value)
    other = Permit("another", FREE.limits)
    with Scripted(answer(429, b"no")) as server, pytest.raises(RateLimited) as caught:
        wire(budget=200.0).get(server.url, params={}, permit=other)
    assert f"after {caught.value.until:%Y-%m-%d %H:%M:%S} UTC" in caught.value.remedy


def test_of_an_acknowledgement_the_reason_is_shown(wire):
    text = b"""<?xml version="1.0"?><Acknowledgement_MarketDocument xmlns="urn:x"><mRID>b0e7-17</mRID>
    <sender_MarketParticipant.mRID codingScheme="A01">10X1001A1001A450</sender_MarketParticipant.mRID>
    <Reason><code>999</code><text>No token, no &lt;data&gt;.</text></Reason></Acknowledgement_MarketDocument>"""
    with Scripted(answer(401, text, content_type="text/xml")) as server, pytest.raises(Unauthorized) as caught:
        wire().get(server.url, params={}, permit=FREE)
    assert caught.value.reason == "No token, no <data>."
