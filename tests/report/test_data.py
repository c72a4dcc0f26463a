"""The data report: self-contained, safe, and the same numbers as the judgement and the statistics."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree

import polars as pl
import pytest

from gridcast.contracts import DOUBTFUL, LOAD
from gridcast.market.zones import zone
from gridcast.quality import VERDICTS, judge, statistics
from gridcast.report import render_data
from gridcast.sources import demo
from reports import read, table

DK_1 = zone("DK_1")
START, END = date(2018, 9, 1), date(2018, 11, 26)
FIGURES = ("calendar", "time", "month", "week", "revised")
HOSTILE = '<img src=x onerror="alert(1)">&"\'</script>'


def observations(*, source: str = "entsoe") -> pl.DataFrame:
    """Twelve weeks with a spike, a gap, an hour of zero and revisions."""
    load = demo.observations(DK_1, start=START, end=END, fetched_at=datetime(2019, 1, 1, tzinfo=UTC))
    load = load.filter(pl.col("variable") == LOAD).with_columns(source=pl.lit(source))
    row = pl.int_range(pl.len())
    value = pl.when(row == 900).then(pl.col("value") * 1.5).when(row == 1200).then(0.0).otherwise("value")
    load = load.with_columns(value=value).filter(~row.is_in([1500, 1501, 1502]))
    revised = load.gather_every(7).with_columns(
        value=pl.col("value") * 1.002, published_at=pl.col("published_at") + timedelta(days=3)
    )
    return pl.concat([load, revised.filter((pl.col("value") > 100) & (pl.int_range(pl.len()) > 200))])


def a_week(*, source: str = "entsoe") -> pl.DataFrame:
    return observations(source=source).filter(pl.col("valid_time") >= datetime(2018, 11, 19, tzinfo=UTC))


def page(**changes: object) -> str:
    frame = changes.pop("observations", None)
    frame = observations() if frame is None else frame
    whole = {
        "zone": DK_1,
        "observations": frame,
        "judgement": judge(frame, zone=DK_1, start=START, end=END),
        "title": "Data of western Denmark",
        "labels": ["synthetic data"],
        "facts": {"Store": "demo"},
    }
    return render_data(**(whole | changes))


@pytest.fixture(scope="module")
def html() -> str:
    return page()


def test_the_page_names_no_other_host_and_runs_no_script(html):
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    assert re.findall(r"https?:|//\w|<script|<link|@import|\bsrc=|url\((?!#)", without_namespaces) == []


def test_every_tag_is_closed_every_name_is_unique_and_every_reference_arrives(html):
    seen = read(html)
    names = [attributes["id"] for _, attributes in seen.attributes if "id" in attributes]
    links = [
        link.removeprefix("#")
        for _, attributes in seen.attributes
        for key in ("href", "xlink:href", "aria-labelledby")
        for link in (attributes.get(key) or "").split()
    ] + re.findall(r"url\(#([^)]*)\)", html)
    assert len(names) == len(set(names)) > 50
    assert set(links) <= set(names)


def test_every_figure_is_drawn_for_a_page_and_for_a_phone_and_is_valid_xml(html):
    images = [attributes["aria-labelledby"] for tag, attributes in read(html).attributes if tag == "svg"]
    assert images == [
        f"{figure}-{width}-title {figure}-{width}-desc" for figure in FIGURES for width in ("wide", "narrow")
    ]
    for drawing in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
        closed = drawing.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1)
        assert ElementTree.fromstring(closed).tag == "svg"
        assert re.findall(r"#[0-9a-f]{6}\b", drawing) == []


@pytest.mark.parametrize("words", ["local day", "load, MW", "month", "hour of the local week", "revisions"])
def test_axes_say_what_they_show(html, words):
    assert f">{words}</text>" in html


def test_the_verdicts_are_those_of_the_judgement(html):
    judgement = judge(observations(), zone=DK_1, start=START, end=END)
    seen = read(html)
    shown = table(seen, "Verdict")
    shown.pop("Verdict")
    assert {name: int(cells[0][0]) for name, cells in shown.items()} == {
        str(verdict): judgement.days.filter(pl.col("verdict") == verdict).height for verdict in VERDICTS
    }
    wrong = judgement.days.filter(pl.col("verdict") != "complete")
    assert set(wrong["verdict"]) == {"spike", "implausible", "partial"}
    listed = table(seen, "Day")
    listed.pop("Day")
    assert [(day, cells[0][0], cells[1][0]) for day, cells in listed.items()] == [
        (str(day), verdict, detail) for day, verdict, detail in wrong.select("day", "verdict", "detail").iter_rows()
    ]


def test_gaps_quarantine_revisions_and_statistics_are_the_known_ones(html):
    frame = observations()
    known, judgement = statistics(frame, zone=DK_1), judge(frame, zone=DK_1, start=START, end=END)
    seen = read(html)
    assert "3 intervals missing in 1 gap." in seen.text
    assert table(seen, "From (UTC)")[f"{known.gaps['start'][0]:%Y-%m-%d %H:%M}Z"][1][0] == "3"
    aside = table(seen, "Interval (UTC)")
    assert len(aside) == 1 + judgement.doubtful.height
    assert table(seen, "Revisions")["Changes"][0][0] == f"{known.revisions.height:,}"
    assert table(seen, "Statistic")["Mean, MW"][0][0] == f"{known.mean:,.0f}"
    assert table(seen, "Source (basis)")["entsoe (assumed)"][0][0] == f"{known.count:,}"
    assert table(seen, "Year")["2018"][0][0] == f"{known.count:,}"


def test_what_was_set_aside_earlier_is_shown_too():
    frame = observations()
    bad = judge(frame, zone=DK_1, start=START, end=END).doubtful
    sound = frame.join(bad, on=["valid_time", "published_at", "source"], how="anti")
    judgement = judge(sound, zone=DK_1, start=START, end=END)
    html = page(observations=sound, judgement=judgement, quarantined=bad)
    assert judgement.doubtful.is_empty()
    assert len(table(read(html), "Interval (UTC)")) == 1 + bad.height


def test_strings_of_the_data_and_of_the_caller_are_escaped():
    frame = a_week(source=HOSTILE)
    html = page(observations=frame, title=HOSTILE, labels=[HOSTILE], facts={HOSTILE: HOSTILE})
    assert "<img" not in html
    assert "</script>" not in html
    assert read(html).text.count("onerror") >= 4


def test_a_day_without_revisions_or_quarantine_makes_a_page_too():
    frame = demo.observations(DK_1, start=START, end=START + timedelta(days=1), fetched_at=datetime.now(UTC))
    judgement = judge(frame, zone=DK_1, start=START, end=START + timedelta(days=1))
    html = page(observations=frame, judgement=judgement, quarantined=DOUBTFUL.to_frame())
    seen = read(html)
    assert "No value was changed by a later vintage." in seen.text
    assert "No interval is missing between the first and the last." in seen.text


def test_the_same_data_make_the_same_page(html):
    assert page() == html
