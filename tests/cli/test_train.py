"""What `gridcast train` says of the weather it had."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

FIRST, HOURS = datetime(2026, 1, 1, tzinfo=UTC), 24 * 80


@pytest.mark.parametrize(("days", "basis"), [(20, "none"), (80, "observed")])
def test_weather_that_too_few_days_have_is_named_with_what_to_do(gridcast, tmp_path, days, basis):
    lines = ["ts_utc,load_mw,temperature_c"]
    for n in range(HOURS):
        temperature = f"{5 * math.sin(n / 50):.1f}" if n >= HOURS - 24 * days else ""
        lines.append(
            f"{FIRST + timedelta(hours=n):%Y-%m-%dT%H:%MZ},{2000 + 300 * math.sin(n / 24 * math.tau):.1f},{temperature}"
        )
    file = tmp_path / "load.csv"
    file.write_text("\n".join(lines))
    stored = gridcast("ingest", "--zone", "DK_1", "--source", "tabular", "--file", file)
    assert stored.code == 0, stored.err
    words = ("train", "--zone", "DK_1", "model=linear", "--now", "2026-03-22T10:00:00Z")
    found = gridcast(*words, "--json")
    assert found.code == 0, found.err
    assert found.document["weather_basis"] == basis
    if basis == "none":
        assert "have temperature_2m" in found.err
        assert "--source openmeteo --start 2026-01-01" in found.err
    else:
        assert found.err == ""
    assert f"weather basis: {basis}" in gridcast(*words).out
