"""A body is one JSON document that every reader reads alike, or it is refused."""

from __future__ import annotations

import asyncio
import json
import math

import httpx
import pytest
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from gridcast.api import bodies, problems
from gridcast.api.problems import Problem

HOSTILE = {
    "nothing": b"",
    "blanks": b" \r\n\t ",
    "NaN": b"NaN",
    "NaN in a list": b'{"load": [1, NaN]}',
    "Infinity": b'{"value": Infinity}',
    "-Infinity": b'{"value": -Infinity}',
    "1e999": b'{"value": 1e999}',
    "-1e999": b"[-1e999]",
    "10**400": b"[1" + b"0" * 400 + b"]",
    "65 bits": b"[9223372036854775808]",
    "a million digits": b"[" + b"9" * 1_000_000 + b"]",
    "a million decimals": b"[0." + b"9" * 1_000_000 + b"]",
    "33 deep": b"[" * 33 + b"]" * 33,
    "10,000 deep": b"[" * 10_000 + b"]" * 10_000,
    "10,000 objects deep": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "500,000 open": b"[" * 500_000,
    "key twice": b'{"a": 1, "a": 2}',
    "key twice, escaped": b'{"a": 1, "\\u0061": 2}',
    "key twice, deep": b'[{"x": {"a": 1, "a": 1}}]',
    "byte order mark": b"\xef\xbb\xbf[1]",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16, no mark": '{"a": 1}'.encode("utf-16-le"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "Latin-1": '{"a": "ø"}'.encode("latin-1"),
    "overlong UTF-8": b'["\xc0\xaf"]',
    "surrogate in UTF-8": b'["\xed\xa0\x80"]',
    "lone surrogate": b'["\\ud800"]',
    "lone low surrogate": b'{"a": "x\\uDC00y"}',
    "surrogates in the wrong order": b'["\\udc00\\ud800"]',
    "lone surrogate as a key": b'{"\\ud800": 1}',
    "cut in a list": b"[1, 2",
    "cut in a text": b'["abc',
    "cut in a text of 500,000 escaped quotes": b'["' + b'\\"' * 500_000,
    "cut in a text of 500,000 backslashes": b'["' + b"\\" * 500_000,
    "cut in a number": b"[1, -",
    "cut in a word": b"[tru",
    "two documents": b"[1][2]",
    "trailing comma": b"[1,]",
    "comment": b"[1] // one",
    "single quotes": b"{'a': 1}",
    "bare key": b"{a: 1}",
    "leading zero": b"[01]",
    "plus": b"[+1]",
    "point first": b"[.5]",
    "point last": b"[1.]",
    "hexadecimal": b"[0x10]",
    "underscore": b"[1_000]",
    "raw line end in a text": b'["a\nb"]',
    "raw nul": b'["a\x00b"]',
    "nul alone": b"\x00",
    "closing only": b"]]]]",
    "wrong closing": b"[1}",
    "form": b"a=1&b=2",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "pickle": b"\x80\x04\x95",
}


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    value: float = Field(allow_inf_nan=False, ge=0, le=1e6)
    name: str = Field(default="", max_length=10)
    values: list[float] = []


@pytest.fixture(scope="module")
def client():
    app = FastAPI()
    problems.install(app)

    @app.post("/row")
    async def row(request: Request) -> dict[str, object]:
        return bodies.parsed(Row, await bodies.document(request)).model_dump()

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


@pytest.fixture
def post(client):
    def send(body: bytes, **headers: str) -> httpx.Response:
        kind = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        return asyncio.run(client.post("/row", content=body, headers=kind))

    return send


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused_with_a_remedy(post, name):
    answer = post(HOSTILE[name])
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == problems.MEDIA_TYPE
    content = json.loads(answer.text, parse_constant=lambda name: pytest.fail(f"the answer has {name}"))
    assert content["title"] == "Bad body"
    assert content["remedy"]
    assert len(answer.content) < 1000


@pytest.mark.parametrize(
    "body",
    [
        b"-0",
        b"1",
        b"null",
        b"true",
        b'"text"',
        b"[]",
        b"{}",
        b'{"value": null}',
        b'{"value": "1"}',
        b'{"value": true}',
        b'{"value": [1]}',
        b'{"value": -1}',
        b'{"value": 1e300}',
        b'{"value": 9223372036854775807}',
        b'{"value": 1, "valeu": 2}',
        b'{"value": 1, "name": "' + b"x" * 900_000 + b'"}',
        b'{"value": 1, "values": [' + b'"a",' * 5_000 + b"1]}",
        b'{"value": 1, "' + b"k" * 100_000 + b'": 1}',
        b'{"value": 1, "\\u0000<script>": 1}',
    ],
)
def test_json_that_breaks_the_schema_is_422_and_is_not_repeated(post, body):
    answer = post(body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["where"]
    assert len(answer.content) < 10_000
    assert b"x" * 1000 not in answer.content


def test_what_keeps_the_rules_is_read_as_it_is(post):
    assert post(b'{"value": -0.0}').json()["value"] == 0
    assert post(b' {"value": 12.5, "name": "\\ud83d\\ude00"} ').json() == {"value": 12.5, "name": "😀", "values": []}
    assert post(b'{"value": 1}', content_type='application/json; charset="UTF-8"').status_code == 200
    big = b'{"value": 1, "values": [' + b"1.5," * 50_000 + b"2]}"
    assert len(post(big).json()["values"]) == 50_001


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "text/plain"},
        {"content_type": ""},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": "application/json; charset=utf-16"},
        {"content_type": "application/jsonp"},
        {"content_encoding": "gzip"},
        {"content_encoding": "br"},
    ],
)
def test_another_type_or_a_compressed_body_is_415(post, headers):
    answer = post(b'{"value": 1}', **headers)
    assert answer.status_code == 415
    assert answer.json()["remedy"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Half a surrogate pair is no text.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(json_values, st.booleans())
def test_every_document_that_python_writes_is_read_back(value, ascii_only):
    assert bodies.strict(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_bytes_are_a_document_or_a_problem_and_nothing_else(body):
    try:
        found = json.dumps(bodies.strict(body), allow_nan=False)
    except Problem as problem:
        found = problem.title
    assert found


brackets = st.lists(st.sampled_from([b"[", b"]", b"{", b"}", b'"', b"\\", b"1", b",", b":"]), max_size=40).map(b"".join)


@given(brackets)
def test_the_depth_seen_beforehand_is_never_less_than_that_of_the_value(body):
    def depth(value: object) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    try:
        value = json.loads(body)
    except ValueError:
        return
    if depth(value) > 3:
        with pytest.raises(Problem, match=r"nested deeper|key twice"):
            bodies.strict(body, max_depth=3)


@given(st.integers(0, 5), st.text(st.sampled_from('[]{}"\\'), max_size=10))
def test_brackets_in_a_text_do_not_count(depth, text):
    body = json.dumps(text)
    for _ in range(depth):
        body = f"[{body}]"
    assert bodies.strict(body.encode(), max_depth=max(1, depth)) is not None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_comes_through_bit_for_bit(value):
    (found,) = bodies.strict(f"[{value!r}]".encode())
    assert math.copysign(1, found) == math.copysign(1, value)
    assert found == value
