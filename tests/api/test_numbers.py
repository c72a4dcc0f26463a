"""Every number that a body or a query may have, made hostile: an answer below 500, and never a number that is none."""

from __future__ import annotations

import asyncio
import json
import os
import random

import pytest

import small_home

MANY = 500 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 20
TOKENS = (
    "NaN", "Infinity", "-Infinity", "nan", "1e999", "-1e999", "1e308", "-1e308", "1e-400", "5e-324", "-0", "-0.0",
    "1" + "0" * 400, "0." + "0" * 400 + "1", "9" * 5000, "9223372036854775808", "-9223372036854775809", "01", "+1",
    "1.", ".5", "0x10", "1e", "--1", "null", "true", "false", '"2000"', '"NaN"', '""', "[]", "{}", "[[2000]]",
    '{"value": 2000}', "[" * 200 + "]" * 200, '{"a":' * 50 + "1" + "}" * 50, "", " ", "1,1", "2000 2000",
    '"\\ud800"',
)  # fmt: skip
SERIES = {"load": 0, "tso": 1, "temperature": 2}
QUERIES = ("/v1/zones/DK_1/scores?days=", "/v1/zones/DK_1/quality?days=")


def hostile(chance: random.Random) -> str:
    """The text of a number that is none, is huge, tiny or somewhere between."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.choice(TOKENS)
    if kind == 1:
        return f"{chance.choice('-+ ')}{chance.random() * 10.0 ** chance.randint(-330, 308):.{chance.randrange(30)}g}"
    if kind == 2:
        return f"{chance.choice(['', '-'])}{chance.getrandbits(chance.randrange(1, 400))}"
    return f"{chance.uniform(-10, 10):.6f}e{chance.randint(-400, 400)}"


def bodies_of(field: str, *, site) -> tuple[str, str]:
    """A path, and a body in which ``@`` stands where the field's number was."""
    if field.startswith("feature"):
        from gridcast.models.classic_onnx import Classic

        rows = Classic.load().example.tolist()
        rows[50][int(field.removeprefix("feature "))] = "@"
        return "/predict", json.dumps({"features": rows})
    cells = [{"valid_time": time, "value": value} for time, value in small_home.history(site.service, days=30)]
    given = {"zone": "DK_1", "load": [*cells]}
    given[field] = [*given.get(field, cells)]
    given[field][100] = given[field][100] | {"value": "@"}
    return "/v1/forecast", json.dumps(given)


@pytest.mark.parametrize("field", [*SERIES, *(f"feature {number}" for number in range(12))])
def test_no_number_in_a_body_makes_the_server_fail(site, field, record_property):
    path, body = bodies_of(field, site=site)
    chance = random.Random(field)
    found = []

    async def ask() -> None:
        async with site.client() as client:
            for _ in range(MANY):
                text = body.replace('"@"', hostile(chance))
                answer = await client.post(path, content=text.encode(), headers={"content-type": "application/json"})
                json.loads(answer.text, parse_constant=lambda name: pytest.fail(f"the answer has {name}"))
                found.append(answer.status_code)

    asyncio.run(ask())
    for name, value in {"cases": len(found), "5xx": sum(status >= 500 for status in found)}.items():
        record_property(name, value)
    assert set(found) <= {200, 400, 422}
    assert 400 in found
    assert 422 in found


@pytest.mark.parametrize("query", QUERIES)
def test_no_number_in_a_query_makes_the_server_fail(site, query, record_property):
    chance = random.Random(query)
    found = []

    async def ask() -> None:
        async with site.client() as client:
            for _ in range(MANY):
                answer = await client.get(query + hostile(chance).replace("#", ""))
                found.append(answer.status_code)

    asyncio.run(ask())
    for name, value in {"cases": len(found), "5xx": sum(status >= 500 for status in found)}.items():
        record_property(name, value)
    assert set(found) <= {200, 400, 414, 422}
