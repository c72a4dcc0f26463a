"""Every fault of the catalogue does to an answer what it says, and the server lives on."""

from __future__ import annotations

import io
import json
import re
import select
import socket
import threading
import time
import xml.etree.ElementTree as ET
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from gridcast.errors import ConfigError
from gridcast.simulate import FAULTS, Faults, VirtualClock, World, running
from gridcast.simulate.exchange import Ask, Reply
from gridcast.simulate.faults import editing
from gridcast.simulate.faults.catalogue import LAYERS, PROVIDERS, add

TOKEN = "0e1d2c3b-4a59-4687-9000-feedfacecafe"
NOW = datetime(2025, 10, 28, 3, tzinfo=UTC)
LIBRARY = {"folder": "/TP_export/ActualTotalLoad_6.1.A_r3/", "filename": "2025_10_ActualTotalLoad_6.1.A_r3.csv"}
ENOUGH = 3 << 20


def query(path, **params):
    return f"{path}?{urlencode(params)}"


LOAD = query(
    "/entsoe/api",
    documentType="A65",
    processType="A16",
    outBiddingZone_Domain="10YDK-1--------W",
    periodStart="202510242200",
    periodEnd="202510280000",
)
RECORDS = query("/energidata/dataset/GenerationProdTypeExchange", start="2025-10-20", end="2025-10-21", sort="TimeUTC")
WEATHER = query(
    "/openmeteo/historical/v1/forecast",
    latitude="55.68,56.16",
    longitude="12.57,10.21",
    hourly="temperature_2m,cloud_cover",
    timeformat="unixtime",
    start_date="2025-10-20",
    end_date="2025-10-21",
)


@dataclass(frozen=True)
class Outcome:
    """What came over the wire until its end, or until enough came, or until nothing came any more."""

    data: bytes
    end: str


def raw(url, path, *, body=None, headers=(), patience=0.15):
    """One request as bytes, its answer as bytes, and how that ended; the client ends an answer that is complete."""
    host, _, port = url.removeprefix("http://").partition(":")
    lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", f"Host: {host}", f"SECURITY_TOKEN: {TOKEN}", *headers]
    text = "\r\n".join([*lines, f"Content-Length: {len(body or b'')}", "", ""])
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(text.encode() + (body or b""))
        data, first = b"", True
        while len(data) < ENOUGH:
            # The first byte may take the server a while; after it, silence is an end.
            if not select.select([connection], [], [], 5 if first and patience > 0.1 else patience)[0]:
                return Outcome(data, "silence")
            try:
                block = connection.recv(1 << 16)
            except ConnectionResetError:
                return Outcome(data, "reset")
            if not block:
                return Outcome(data, "closed")
            data, first = data + block, False
            if complete(data):
                return Outcome(data, "complete")
    return Outcome(data, "enough")


def complete(data):
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.findall(rb"Content-Length: (\d+)", head)
    return bool(body or b"Content-Length: 0" in head) and bool(length) and len(body) >= int(length[0])


@pytest.fixture(scope="module")
def url():
    before = threading.active_count()
    with running(World(), clock=VirtualClock(NOW), limits=False) as url:
        yield url
    assert threading.active_count() == before


@pytest.fixture(scope="module")
def library_token(url):
    form = b"client_id=tp-fms-public&grant_type=password&username=me&password=secret"
    return json.loads(raw(url, "/entsoe/login", body=form).data.partition(b"\r\n\r\n")[2])["access_token"]


@pytest.fixture(scope="module")
def ask(url, library_token):
    """The request that a fault can befall, made with it."""
    sound = {}

    def request(fault, **plan):
        provider = sorted(fault.providers)[0]
        library = fault.name.startswith(("zip-", "table-")) and fault.name != "zip-instead"
        path = {"energidata": RECORDS, "entsoe": LOAD, "openmeteo": WEATHER}[provider]
        more = {}
        if library:
            path = "/entsoe/files/downloadFileContent"
            more = {"body": json.dumps(LIBRARY).encode(), "headers": [f"Authorization: Bearer {library_token}"]}
        if path not in sound:
            tell(url)
            sound[path] = raw(url, path, **more)
        tell(url, **plan)
        patience = 0.05 if "silence" in fault.name else 0.15
        return sound[path], raw(url, path, patience=patience, **more)

    return request


def tell(url, **plan):
    got = raw(url, "/simulator/faults", body=json.dumps({"names": []} | plan).encode())
    assert b" 200 OK" in got.data, got.data
    return got


def document(url, name):
    """A load document, sound for an empty name."""
    tell(url, names=[name] if name else [])
    return raw(url, LOAD).data.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_changes_what_comes_over_the_wire(ask, name):
    sound, faulty = ask(FAULTS[name], names=[name])

    assert sound.end == "complete"
    assert b"HTTP/1.1 200 OK" in sound.data
    assert faulty != sound


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.layer == "network"])
def test_a_fault_below_http_leaves_nobody_the_whole_answer_unless_it_says_so(ask, name):
    harmless = {"date-skew", "huge-headers", "huge-body", "body-longer", "two-lengths", "gzip-bomb"}
    coded = {"truncated-gzip", "damaged-gzip", "wrong-coding", "unknown-coding"}
    sound, faulty = ask(FAULTS[name], names=[name])

    if name in {"silence", "silence-in-body", "drip"}:
        assert faulty.end == "silence"
    elif name.startswith("reset"):
        assert faulty.end == "reset"
    elif name not in harmless | coded:
        assert faulty.end == "closed"
        assert len(faulty.data) < len(sound.data) or b"chunked" in faulty.data


def test_the_catalogue_is_as_large_as_the_issue_wants_it():
    content = [fault for fault in FAULTS.values() if fault.layer == "content"]

    assert len([fault for fault in content if "entsoe" in fault.providers]) >= 100
    assert len([fault for fault in content if "energidata" in fault.providers]) >= 25
    assert len([fault for fault in content if "openmeteo" in fault.providers]) >= 25
    assert len([fault for fault in FAULTS.values() if fault.layer != "content"]) >= 50


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_every_fault_has_a_name_a_layer_and_a_sentence(fault):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", fault.name)
    assert fault.layer in LAYERS
    assert fault.providers
    assert fault.providers <= set(PROVIDERS)
    assert re.fullmatch(r"[A-Z].*\.", fault.sentence)


def test_a_fault_cannot_be_on_the_list_twice():
    with pytest.raises(ConfigError):
        add("silence", "Again.", layer="network", spoil=lambda _reply, _ask: None)


def test_the_same_answer_is_spoilt_the_same_way(url):
    text = document(url, "")
    reply = Reply(200, text.encode(), "text/xml")
    ask = Ask("GET", "/entsoe/api", params={}, headers={}, body=b"", peer="127.0.0.1", at=NOW)
    for fault in FAULTS.values():
        if fault.layer == "content" and "entsoe" in fault.providers:
            assert fault.spoil(reply, ask) == fault.spoil(reply, ask), fault.name


# --- what they do, by example ----------------------------------------------------------------------------------------


def quantities(text):
    return re.findall(r"<quantity>([^<]*)<", text)


def test_one_quantity_is_spoilt_and_no_other(url):
    sound, spoilt = quantities(document(url, "")), quantities(document(url, "decimal-comma"))
    changed = [(a, b) for a, b in zip(sound, spoilt, strict=True) if a != b]

    assert changed == [(changed[0][0], changed[0][0] + ",5")]


def test_a_relabelled_document_keeps_its_numbers(url):
    sound, spoilt = document(url, ""), document(url, "resolution-relabelled")

    assert quantities(sound) == quantities(spoilt)
    assert ("PT60M" in sound, "PT15M" in spoilt) == (True, True)


@pytest.mark.parametrize(
    "name",
    ["flat-line", "gap", "partial-day", "period-longer", "shifted-by-an-hour", "series-twice", "old-answer", "spike",
     "future-values", "clock-change-of-24-hours", "other-period", "periods-overlap", "tail-cut"],
)  # fmt: skip
def test_a_fault_of_meaning_leaves_the_document_well_formed(url, name):
    root = ET.fromstring(document(url, name))

    assert root.tag.endswith("GL_MarketDocument")


def test_values_stand_an_hour_late(url):
    sound, spoilt = (editing.longest(document(url, name)).full() for name in ("", "shifted-by-an-hour"))

    assert spoilt[1:] == sound[:-1]


def test_a_clock_change_day_loses_its_25th_hour(url):
    sound, spoilt = (editing.longest(document(url, name)) for name in ("", "clock-change-of-24-hours"))
    change = int((datetime(2025, 10, 26, 1, tzinfo=UTC) - sound.start) / timedelta(hours=1))

    assert spoilt.length == sound.length - 1
    assert spoilt.full()[:change] == sound.full()[:change]
    assert spoilt.full()[change:] == sound.full()[change + 1 :]


def test_an_old_answer_lacks_a_day_and_future_values_pass_now(url):
    sound, old, future = (editing.periods(document(url, name))[-1] for name in ("", "old-answer", "future-values"))

    assert sound.end - old.end == timedelta(days=1)
    assert future.end > NOW > sound.end


def test_an_edited_period_reads_back_as_it_was_put(url):
    text = document(url, "")
    period = editing.longest(text)

    assert editing.put(text, period, period) == text
    assert len(period.full()) == period.length


def test_a_bomb_unpacks_to_what_it_says(url):
    import zlib

    tell(url, names=["gzip-bomb"])
    packed = raw(url, LOAD).data.partition(b"\r\n\r\n")[2]
    size, unpacker = 0, zlib.decompressobj(zlib.MAX_WBITS | 16)
    while packed:
        size += len(unpacker.decompress(packed, 1 << 20))
        packed = unpacker.unconsumed_tail
    assert size == 256 << 20
    assert unpacker.eof


def test_a_table_is_still_in_a_sound_archive(url, library_token):
    tell(url, names=["table-decimal-comma"])
    header = [f"Authorization: Bearer {library_token}"]
    got = raw(url, "/entsoe/files/downloadFileContent", body=json.dumps(LIBRARY).encode(), headers=header)
    with zipfile.ZipFile(io.BytesIO(got.data.partition(b"\r\n\r\n")[2])) as archive:
        assert archive.testzip() is None
        text = archive.read(archive.namelist()[0]).decode("utf-8-sig")
    assert len(re.findall(r"\t\d+,\d+\t", text)) == 1


# --- the plan --------------------------------------------------------------------------------------------------------


def test_a_rate_hits_its_share_and_the_same_seed_the_same_requests(url):
    def statuses(seed):
        tell(url, names=["status-503"], rate=0.3, seed=seed)
        return [b" 503 " in raw(url, "/openmeteo/data/ecmwf_ifs/static/meta.json").data for _ in range(60)]

    hits = statuses(1)
    assert 8 < sum(hits) < 30
    plan = Faults(["status-503"], rate=0.3, seed=1)
    ask = Ask("GET", "/entsoe/api", params={}, headers={}, body=b"", peer="", at=NOW)
    draws = [[plan.strike(n, ask, reply=Reply(200, b""))[0] for n in range(100)] for _ in range(2)]
    assert draws[0] == draws[1]


def test_a_script_hits_the_request_of_that_number():
    plan = Faults(script={2: "empty-answer", 3: "reset-before-headers"})
    with running(World(), clock=VirtualClock(NOW), faults=plan) as url:
        outcomes = [raw(url, LOAD) for _ in range(4)]
        stats = json.loads(raw(url, "/simulator/stats").data.partition(b"\r\n\r\n")[2])

    assert outcomes[0] == outcomes[3]
    assert outcomes[1].data.endswith(b"Content-Length: 0\r\n\r\n")
    assert outcomes[2] == Outcome(b"", "reset")
    assert stats["faults"] == {"empty-answer": 1, "reset-before-headers": 1}


def test_a_layer_or_provider_stands_for_its_faults():
    assert set(Faults(["network", "status", "content"]).names) == set(Faults(["all"]).names) == set(FAULTS)
    assert "unsorted" in Faults(["energidata"]).names
    assert "silence" not in Faults(["energidata"]).names


def test_an_answer_that_a_fault_cannot_befall_gets_another_or_stays_sound(url):
    tell(url, names=["decimal-comma"])
    week = LOAD.replace("A16", "A31")
    assert b"No matching data found" in raw(url, week).data
    plan = Faults(["decimal-comma", "empty-answer"])
    ask = Ask("GET", "/entsoe/api", params={}, headers={}, body=b"", peer="", at=NOW)
    assert {plan.strike(n, ask, reply=Reply(200, b"no document"))[0] for n in range(20)} == {"empty-answer"}


@pytest.mark.parametrize(
    "plan",
    [{"names": ["silense"]}, {"names": "silence"}, {"rate": 2}, {"script": {"1": "x"}}, {"speed": 1}, {"rate": "much"}],
)
def test_a_wrong_plan_is_refused(url, plan):
    got = raw(url, "/simulator/faults", body=json.dumps(plan).encode())
    assert b" 400 " in got.data


def test_a_misspelt_fault_gets_a_suggestion():
    with pytest.raises(ConfigError, match=r"did you mean .*silence"):
        Faults(["silense"])


def test_faults_never_befall_the_simulators_own_paths(url):
    tell(url, names=["network", "status"])
    for path in ("/", "/simulator/clock", "/simulator/stats", "/simulator/faults"):
        assert raw(url, path).end == "complete"
    tell(url)


def test_a_client_that_hangs_on_to_silence_does_not_keep_the_server_from_closing():
    with running(World(), clock=VirtualClock(NOW), faults=Faults(["silence"])) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        connection = socket.create_connection((host, int(port)))
        connection.sendall(f"GET {LOAD} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        time.sleep(0.2)
        before = time.monotonic()
    assert time.monotonic() - before < 2
    connection.close()


def test_an_unknown_fault_is_pointed_to_the_list_on_the_command_line():
    with pytest.raises(ConfigError, match="simulate --faults list"):
        Faults(["nope"])
