"""The page: self-contained, honest, the same numbers as the backtest, the same bytes every time."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from gridcast import report
from gridcast.contracts import MEDIAN, QUANTILES
from gridcast.market.days import Task, local_wall
from gridcast.market.zones import zone
from gridcast.report import breakdown, scoretable
from reports import DK_1, a_backtest, a_forecast, a_history, a_page, read, table

FIGURES = ("fan", "hour", "kind", "reliability-plot")


@pytest.fixture(scope="module")
def html() -> str:
    return a_page()


def test_the_page_names_no_other_host_and_runs_no_script(html):
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    assert re.findall(r"https?:|//\w|<script|<link|@import|\bsrc=|url\((?!#)", without_namespaces) == []


def test_every_tag_is_closed_every_name_is_unique_and_every_reference_arrives(html):
    page = read(html)
    names = [attributes["id"] for _, attributes in page.attributes if "id" in attributes]
    links = [
        link.removeprefix("#")
        for _, attributes in page.attributes
        for key in ("href", "xlink:href", "aria-labelledby")
        for link in (attributes.get(key) or "").split()
    ] + re.findall(r"url\(#([^)]*)\)", html)
    assert len(names) == len(set(names)) > 100
    assert len(links) > 100
    assert set(links) <= set(names)


def test_every_figure_is_drawn_for_a_page_and_for_a_phone_and_described(html):
    images = [attributes for tag, attributes in read(html).attributes if tag == "svg"]
    assert [image["aria-labelledby"] for image in images] == [
        f"{figure}-{width}-title {figure}-{width}-desc" for figure in FIGURES for width in ("wide", "narrow")
    ]
    assert all(image["role"] == "img" for image in images)
    described = re.findall(r"<title[^>]*>([^<]+)</title><desc[^>]*>([^<]+)</desc>", html)
    assert len(described) == len(images)


def test_every_svg_of_the_page_is_valid_xml(html):
    drawings = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) == 2 * len(FIGURES)
    for drawing in drawings:
        closed = drawing.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1)
        assert ElementTree.fromstring(closed).tag == "svg"


def test_tables_have_headed_rows_and_columns_and_the_page_has_a_language_and_landmarks(html):
    page = read(html)
    heads = [attributes.get("scope") for tag, attributes in page.attributes if tag == "th"]
    assert heads
    assert set(heads) == {"row", "col"}
    assert [attributes for tag, attributes in page.attributes if tag == "html"] == [{"lang": "en"}]
    assert {"header", "nav", "main", "footer", "section"} <= {tag for tag, _ in page.attributes}


def test_colours_on_the_page_are_all_the_readers_choice(html):
    drawings = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert "var(--blue)" in drawings
    assert re.findall(r"#[0-9a-f]{6}\b", drawings) == []
    assert "prefers-color-scheme:dark" in html


@pytest.mark.parametrize("tso_basis", ["none", "last-version"])
def test_the_score_table_has_every_score_of_every_model_as_formatted(tso_basis):
    result = a_backtest(("naive", "linear", "ensemble"), tso_basis=tso_basis)
    shown = table(read(a_page(result=result, forecast=None)), "Score")
    scores = result.scores()

    assert [name for name, _ in shown.pop("Score")] == list(scores)
    keys = list(scores["naive"])
    assert list(shown) == [scoretable.measure(key).name for key in keys]
    for key in keys:
        texts = [text for text, _ in shown[scoretable.measure(key).name]]
        assert texts == [scoretable.written(key, scores[model][key]) for model in scores]


def test_every_score_of_a_backtest_has_a_name_in_words():
    keys = set(a_backtest().scores()["naive"])
    assert keys == set(scoretable.MEASURES)


def test_the_best_of_a_row_is_bold_and_costs_and_counts_are_no_contest():
    result = a_backtest(("naive", "linear", "ensemble"))
    scores, shown = result.scores(), table(read(a_page(result=result, forecast=None)), "Score")
    lowest = min(scores, key=lambda model: scores[model]["mae_mw"])
    nearest = min(scores, key=lambda model: abs(scores[model]["coverage_80_pct"] - 80))

    def bold(key: str) -> list[str]:
        cells = shown[scoretable.measure(key).name]
        return [model for model, (_, is_bold) in zip(scores, cells, strict=True) if is_bold]

    assert bold("mae_mw") == [lowest]
    assert bold("coverage_80_pct") == [nearest]
    assert [bold(key) for key in ("n", "origins", "fit_seconds", "predict_seconds", "skill_vs_tso")] == [[]] * 5


@pytest.mark.parametrize(
    ("key", "values", "winners"),
    [
        ("mae_mw", {"a": 2.0, "b": 1.0}, {"b"}),
        ("mae_mw", {"a": 1.01, "b": 1.0, "c": 3.0}, {"a", "b"}),
        ("bias_mw", {"a": -1.0, "b": 3.0}, {"a"}),
        ("skill_vs_naive", {"a": 0.1, "b": -0.5}, {"a"}),
        ("coverage_95_pct", {"a": 99.0, "b": 94.0}, {"b"}),
        ("coverage_80_pct", {"a": 95.0, "b": 79.0}, {"b"}),
        ("mae_mw", {"a": 2.0, "b": None}, set()),
        ("mae_mw", {"a": 2.0, "b": 2.0}, set()),
        ("n", {"a": 2, "b": 1}, set()),
    ],
)
def test_best_is_nearest_to_perfect_as_written(key, values, winners):
    assert scoretable.best(key, values) == winners


def test_a_score_that_the_table_does_not_know_keeps_its_key():
    assert (scoretable.measure("pit").name, scoretable.written("pit", 0.25)) == ("pit", "0.25")


@pytest.mark.parametrize("step", ["60", "15"])
def test_error_by_hour_and_by_day_kind_equal_a_plain_loop(step):
    result = a_backtest(step=step)
    for model, replay in result.replays.items():
        by_hour: dict[int, list[float]] = {}
        by_kind: dict[int, list[float]] = {}
        for row, actual in enumerate(result.actual):
            error = abs(replay.fan[row, MEDIAN] - actual)
            if not np.isnan(error):
                clock = local_wall(result.valid_time[row : row + 1], "Europe/Copenhagen")[0].astype(object)
                by_hour.setdefault(clock.hour, []).append(error)
                by_kind.setdefault(int(result.day_kind[row]), []).append(error)
        assert sorted(by_hour) == list(range(24))
        np.testing.assert_allclose(breakdown.mae_by_hour(result, model), [np.mean(by_hour[hour]) for hour in range(24)])
        np.testing.assert_allclose(
            breakdown.mae_by_day_kind(result, model), [np.mean(by_kind[kind]) for kind in range(3)]
        )


def test_reliability_equals_a_plain_loop_and_agrees_with_the_coverage_of_the_scores():
    result = a_backtest()
    for model, replay in result.replays.items():
        below, count = [0] * len(QUANTILES), 0
        for actual, fan in zip(result.actual, replay.fan, strict=True):
            if np.isnan(actual) or np.isnan(fan).any():
                continue
            count += 1
            for place, value in enumerate(fan):
                below[place] += actual <= value
        observed = breakdown.reliability(result, model)
        assert 0 < min(observed) < max(observed) < 1
        np.testing.assert_allclose(observed, [number / count for number in below])
        covered = observed[QUANTILES.index(0.9)] - observed[QUANTILES.index(0.1)]
        assert 100 * covered == pytest.approx(result.scores()[model]["coverage_80_pct"])
        assert count == result.scores()[model]["n"]


def test_the_tables_below_the_figures_hold_the_same_numbers(html):
    page, result = read(html), a_backtest()
    hours, levels = table(page, "Hour"), table(page, "Quantile")
    for place, model in enumerate(result.replays):
        by_hour = breakdown.mae_by_hour(result, model)
        assert [hours[f"{hour:02d}:00"][place][0] for hour in range(24)] == [f"{error:,.1f}" for error in by_hour]
        observed = 100 * breakdown.reliability(result, model)
        assert [levels[f"{100 * level:g} %"][place][0] for level in QUANTILES] == [f"{each:,.1f}" for each in observed]


def test_days_are_counted_by_kind_where_an_actual_is_known():
    result = a_backtest()
    assert breakdown.days_by_kind(result) == (5, 5, 4)
    assert breakdown.days_by_kind(replace(result, actual=np.where(result.day_kind == 1, np.nan, result.actual))) == (
        5,
        0,
        4,
    )


def sections(html: str) -> list[str]:
    return [attributes["id"] for tag, attributes in read(html).attributes if tag == "section"]


def test_a_part_without_its_input_is_left_out(html):
    whole = ["forecast", "scores", "errors", "reliability", "known"]
    forecast = a_forecast()
    assert sections(html) == whole
    assert sections(a_page(forecast=None)) == whole[1:]
    assert sections(a_page(result=None, history=None)) == ["forecast", "known"]
    assert sections(a_page(forecast=None, result=None, facts=None)) == []
    assert "came later" not in a_page(forecast=forecast, history=a_history(forecast), result=None)


def test_a_backtest_without_any_scored_row_still_has_a_score_table():
    empty = a_backtest()
    empty = replace(empty, actual=np.full(len(empty.actual), np.nan))
    page = a_page(result=empty, forecast=None)
    assert sections(page) == ["scores", "known"]
    assert {text for text, _ in table(read(page), "Score")[scoretable.measure("mae_mw").name]} == {scoretable.NONE}


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_backtest_of_one_kind_of_day_and_one_model_draws(kind):
    result = a_backtest(("conv1d",))
    page = a_page(result=replace(result, day_kind=np.full(len(result.day_kind), kind)), forecast=None)
    assert len(re.findall("<svg", page)) == 6
    assert "<strong>" not in page


def test_what_is_foreign_is_escaped_everywhere():
    evil = "<b>&\"'$x$_"
    place = replace(DK_1, code=evil, name=evil)
    forecast = a_forecast(place).with_columns(model_version=pl.lit(evil), degraded=pl.lit(evil))
    result = replace(a_backtest(("naive", evil)), weather_basis=evil, tso_basis=evil)
    page = a_page(zone=place, forecast=forecast, result=result, title=evil, labels=[evil], facts={evil: evil})
    assert "<b>" not in page
    assert read(page).text.count(evil) > 12
    assert report.fan_chart(forecast, history=None, zone=place).startswith("<svg")


def test_what_must_be_told_is_told(html):
    text = read(html).text
    assert "nobody measured them" in text
    assert "SYNTHETIC DATA" in text
    assert "weather_basis observed: measured weather, which nobody knew at the issue time" in text
    assert "1 interval is left out" in text
    assert "not scored on the same number of intervals" in text
    assert "2018-10-22 to 2018-11-04, 14 origins" in text
    assert "Data source" in text
    assert "Degraded" not in text


def test_nothing_is_called_synthetic_that_is_not():
    assert "ynthetic" not in read(a_page(labels=["real"], result=None)).text


def test_a_degraded_forecast_says_why():
    forecast = a_forecast().with_columns(degraded=pl.lit("no weather"))
    assert "Degraded: no weather" in read(a_page(forecast=forecast, result=None)).text


@pytest.mark.parametrize(
    ("basis", "words"),
    [
        ("none", "no input of the models; skill_vs_tso is against the last version"),
        ("last-version", "perhaps later than"),
    ],
)
def test_a_skill_against_the_operator_says_against_which_version(basis, words):
    result = replace(a_backtest(tso_basis="last-version"), tso_basis=basis)
    assert words in read(a_page(result=result, forecast=None)).text


def test_the_table_of_hours_holds_medians_and_bands_and_marks_the_peak(html):
    first = next(rows for rows in read(html).tables if rows[0][0][0] == "Start")
    assert first[1] == [("00:00", False), ("1,575", False), ("1,415\N{EN DASH}1,735", False)]
    assert html.count("<tr class=peak>") == 1
    assert '<tr class=peak><th scope="row">17:00</th><td>2,000</td>' in html


@pytest.mark.parametrize(("code", "minutes"), [("DE_LU", 15), ("VIC", 30), ("DK", 60)])
def test_every_resolution_and_a_zone_without_a_gate_are_drawn(code, minutes):
    place = zone(code)
    forecast = a_forecast(place, minutes=minutes)
    page = a_page(zone=place, forecast=forecast, history=None, result=None)
    assert sum(len(rows) - 1 for rows in read(page).tables) == 24 * 60 // minutes
    assert ("gate closes" in page) == (place.gate_closure is not None)


def test_the_same_input_gives_the_same_bytes_and_leaves_matplotlib_as_it_was(html, tmp_path):
    import matplotlib

    matplotlib.rcParams["font.size"] = 31.0
    before = dict(matplotlib.rcParams)
    try:
        assert a_page() == html
        assert dict(matplotlib.rcParams) == before
    finally:
        matplotlib.rcdefaults()
    forecast = a_forecast()
    for name in ("a.png", "b.png", "a.svg", "b.svg"):
        report.fan_chart(forecast, history=a_history(forecast), zone=DK_1, labels=["synthetic"], path=tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_models_are_told_apart_even_where_there_are_many():
    from gridcast.report.drawing import looks

    names = ("naive", *(f"model {n}" for n in range(14)))
    assert list(looks(names)) == list(names)
    assert len(set(looks(names).values())) == len(names)


def test_a_report_about_many_models_draws():
    result = a_backtest(("naive", "similar_day", "linear", "boosted", "conv1d", "conv1d_classic", "ensemble", "_own"))
    page = a_page(result=replace(result, plan=replace(result.plan, task=Task.NEXT_24H)), forecast=None)
    assert page.count("<svg") == 6
    assert re.findall(r">\s*_own</text>", page)
