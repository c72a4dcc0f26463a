"""What `gridcast issue` says of the whole day, and of a portfolio with its members."""

from __future__ import annotations

import csv
import io
import re
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from gridcast.cli import main
from gridcast.contracts import QUANTILES

TRAINED, NOW = "2026-11-20T09:00:00Z", "2026-11-20T12:00:00Z"
LEVELS = [f"{quantile:g}" for quantile in QUANTILES]


@pytest.fixture(scope="module")
def stocked(tmp_path_factory):
    """A home with demo data of both Danish zones, and linear champions of them and of Denmark."""
    home = tmp_path_factory.mktemp("stocked") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRIDCAST_HOME", str(home))
        for words in (
            *(f"ingest --zone {code} --source demo --start 2026-08-01 --end 2026-11-22" for code in ("DK_1", "DK_2")),
            *(f"train --zone {code} model=linear" for code in ("DK", "DK_1", "DK_2")),
        ):
            patch.setattr(sys, "argv", ["gridcast", *words.split(), "--now", TRAINED])
            said = io.StringIO()
            with redirect_stdout(said), redirect_stderr(said), pytest.raises(SystemExit) as end:
                main()
            assert end.value.code == 0, said.getvalue()
    return home


@pytest.fixture
def issue(gridcast, home, stocked):
    shutil.copytree(stocked, home)

    def call(words):
        found = gridcast(*f"issue {words} --now {NOW}".split())
        assert (found.code, found.err) == (0, "")
        return found

    return call


def test_json_says_how_high_the_day_rises_when_and_how_much_it_takes(issue):
    document = issue("--zone DK_1 --format json").document
    day = document["day"]
    assert list(day) == ["peak_mw", "peak_hour", "energy_mwh"]
    for name in ("peak_mw", "energy_mwh"):
        assert list(day[name]) == LEVELS
        assert list(day[name].values()) == sorted(day[name].values())
    for level in LEVELS:
        assert day["peak_mw"][level] >= max(each["quantiles"][level] for each in document["intervals"])
    medians = [each["quantiles"]["0.5"] for each in document["intervals"]]
    assert day["energy_mwh"]["0.5"] == pytest.approx(sum(medians), rel=0.005)
    hours = day["peak_hour"]["by_hour"]
    assert sum(hours.values()) == pytest.approx(1, abs=0.002)
    assert hours[day["peak_hour"]["local"]] == day["peak_hour"]["probability"] == max(hours.values())
    assert all(re.fullmatch(r"\d\d:00", hour) for hour in hours)


def test_the_table_says_it_in_a_line(issue):
    document, printed = issue("--zone DK_1 --format json").document["day"], issue("--zone DK_1").out
    peak, energy, hour = document["peak_mw"], document["energy_mwh"], document["peak_hour"]
    assert (
        f"peak {peak['0.5']:,.0f} MW (80 %: {peak['0.1']:,.0f} to {peak['0.9']:,.0f}), most likely at {hour['local']} "
        f"({100 * hour['probability']:.0f} %); energy {energy['0.5'] / 1000:,.1f} GWh "
        f"(80 %: {energy['0.1'] / 1000:,.1f} to {energy['0.9'] / 1000:,.1f})"
    ) in printed.splitlines()


def test_the_next_24_hours_have_a_peak_too_and_say_so_of_their_own_model(gridcast, home, stocked):
    shutil.copytree(stocked, home)
    assert gridcast(*f"train --zone DK_1 model=linear task=next_24h --now {TRAINED}".split()).code == 0
    day = gridcast(*f"issue --zone DK_1 --task next_24h --format json --now {NOW}".split()).document["day"]
    assert day["peak_mw"]["0.1"] < day["peak_mw"]["0.5"] < day["peak_mw"]["0.9"]


def test_members_are_printed_with_their_portfolio_and_add_up(issue):
    document = issue("--zone DK --members --format json").document
    assert list(document) == ["forecasts"]
    assert [each["zone"] for each in document["forecasts"]] == ["DK", "DK_1", "DK_2"]
    assert all(each["degraded"] == "" and set(each["day"]) for each in document["forecasts"])
    for whole, *parts in zip(*(each["intervals"] for each in document["forecasts"]), strict=True):
        assert whole["quantiles"]["0.5"] == pytest.approx(sum(each["quantiles"]["0.5"] for each in parts), abs=0.002)

    table = issue("--zone DK --members").out
    assert [line for line in table.splitlines() if "Saturday 21 November 2026" in line] == [
        f"{name}, Saturday 21 November 2026"
        for name in ("Denmark (DK)", "Western Denmark (DK_1)", "Eastern Denmark (DK_2)")
    ]
    rows = list(csv.DictReader(io.StringIO(issue("--zone DK --members --format csv").out)))
    assert len(rows) == 3 * 24
    by_zone = {code: [float(row["q0.5"]) for row in rows if row["zone"] == code] for code in ("DK", "DK_1", "DK_2")}
    for whole, *parts in zip(*by_zone.values(), strict=True):
        assert abs(whole - sum(parts)) < 1e-9
    # One of them alone is what was issued.
    alone = issue("--zone DK_1 --format json").document
    assert alone["intervals"] == document["forecasts"][1]["intervals"]


def test_members_of_a_zone_that_has_none_are_refused_in_a_line(gridcast, home, stocked):
    shutil.copytree(stocked, home)
    found = gridcast("issue", "--zone", "DK_1", "--members", "--now", NOW)
    assert (found.code, found.out) == (2, "")
    assert found.err == "gridcast: DK_1 has no members: leave --members out, or name a portfolio\n"
