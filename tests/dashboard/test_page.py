"""What people see: the five facts, the figures and their numbers, and what the page says when something is missing."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta

import pytest

from dashboards import NOW, TO, rows, settle, text, until

ZONE = "DK_1"


DARK = """() => {
  const canvas = document.querySelector('#fan canvas');
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width * 0.4, canvas.height);
  let dark = 0;
  for (let at = 0; at < data.length; at += 4) dark += data.slice(at, at + 4).join() === '27,39,51,255';
  return dark;
}"""
"""How much of the fan's picture, left of its peak, has the colour of what was measured."""


def number(cell):
    return float(cell.replace(",", "").replace("\N{MINUS SIGN}", "-"))


def grouped(value, digits=0):
    return f"{value:,.{digits}f}"


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("desktop", "dark")])
def test_zone_day_peak_hour_band_and_issue_time_are_seen_without_scrolling(site, visit, size, scheme):
    page = visit(size=size, color_scheme=scheme)
    peak, hour = (site.get(f"v1/zones/{ZONE}/forecast")["day"][name] for name in ("peak_mw", "peak_hour"))
    facts = {
        "#headline": f"Western Denmark{ZONE}",
        "#kicker": "Tomorrow · Tuesday 24 November 2026",
        "#facts div:nth-child(1) .huge": f"{grouped(peak['0.5'])}MW",
        "#facts div:nth-child(1) small": f"80 % band {grouped(peak['0.1'])} to {grouped(peak['0.9'])} MW",
        "#facts div:nth-child(2) .large": f"{hour['local']}{TO}{int(hour['local'][:2]) + 1:02}:00",
        "#facts div:last-child .large": "Mon 23 Nov, 11:00 CET",
    }
    for selector, words in facts.items():
        assert text(page, selector) == words
        box = page.locator(selector).bounding_box()
        view = page.viewport_size
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= view["width"]
        assert box["y"] + box["height"] <= view["height"]
    assert page.locator("#fan .plot").bounding_box()["y"] < view["height"] - 100
    assert page.evaluate("scrollY") == 0
    assert page.seen.complaints == []


def test_the_page_asks_nobody_else(site, shown):
    assert len(shown.seen.asked) > 20
    assert {url for url in shown.seen.asked if not url.startswith(site.url)} == set()


def test_the_policy_forbids_what_the_page_does_not_need(site, shown):
    policy = shown.request.get("").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_every_chart_is_drawn_in_its_colours(shown):
    script = """() => [...document.querySelectorAll('.plot canvas')].map((canvas) => {
      const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const seen = new Set();
      for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 200) seen.add(data.slice(at, at + 3).join());
      return seen.has('0,105,168') || seen.has('27,39,51');
    })"""
    assert shown.evaluate(script) == [True] * 4


def test_the_table_of_the_forecast_has_every_interval_and_band(site, shown):
    intervals = site.get(f"v1/zones/{ZONE}/forecast")["intervals"]
    found = rows(shown, "forecast")
    assert len(found) == len(intervals) == 24
    assert found[0][0] == f"00:00{TO}01:00"
    for row, each in zip(found, intervals, strict=True):
        names = ("0.5", "0.25", "0.75", "0.1", "0.9", "0.025", "0.975")
        assert [number(cell) for cell in row[1:]] == pytest.approx(
            [each["quantiles"][name] for name in names], abs=0.51
        )


def test_the_day_before_shows_its_forecast_what_was_measured_and_the_operators_line(site, shown):
    score = {each["delivery_day"]: each for each in site.get(f"v1/zones/{ZONE}/scores")["days"]}["2026-11-22"]
    assert text(shown, "#checked .stepper p") == "Yesterday, Sun 22 Nov"
    said = text(shown, "#checked-words")
    assert f"Off by {grouped(score['mae_mw'])} MW on average" in said
    assert f"by {grouped(score['tso_mae_mw'])} MW and a repeat of the week before" in said
    load = site.get(f"v1/zones/{ZONE}/load?start=2026-11-21T23:00:00Z&end=2026-11-22T23:00:00Z")["intervals"]
    seen = [[number(cell) for cell in row[4:]] for row in rows(shown, "checked")]
    assert seen == [pytest.approx([each["load"], each["tso"]], abs=0.51) for each in load]


def test_another_day_can_be_chosen_with_its_arrow(visit):
    page = visit()
    page.get_by_role("button", name="The day before").click()
    until(page, "document.querySelector('.stepper p')?.textContent.includes('21 November')")
    assert "Load on Saturday 21 November" in text(page, "#checked-figure figcaption")
    until(page, "document.activeElement.closest('.stepper')")
    assert page.locator("#status").inner_text() == "Showing Saturday 21 November."


def test_the_terms_of_the_explanation_add_up_to_the_forecast_in_table_and_stairs(site, shown):
    explained = site.get(f"v1/zones/{ZONE}/explanation")
    for row, each in zip(rows(shown, "reasons"), explained["intervals"], strict=True):
        numbers = [number(cell) for cell in row[1:]]
        assert numbers[0] == pytest.approx(each["forecast_mw"], abs=0.51)
        assert abs(sum(numbers[1:]) - numbers[0]) <= len(numbers) / 2
    slider = shown.get_by_role("slider", name="Add up the interval")
    slider.fill("3")
    assert text(shown, "#reasons output") == f"03:00{TO}04:00"
    assert slider.get_attribute("aria-valuetext").startswith(f"03:00{TO}04:00, ")
    last = text(shown, ".steps li:last-child .value")
    assert last == f"{grouped(explained['intervals'][3]['forecast_mw'])} MW"


def test_data_that_nobody_measured_are_marked(shown):
    assert text(shown, "#fan .badge") == "Synthetic data"


def test_the_record_compares_with_the_week_before_and_the_operator(site, shown):
    scores = site.get(f"v1/zones/{ZONE}/scores")
    mean = scores["mean"]
    said = text(shown, "#record-words")
    assert f"Off by {grouped(mean['mae_mw'])} MW on average" in said
    for rival in ("naive_mae_mw", "tso_mae_mw"):
        share = 1 - mean["mae_mw"] / mean[rival]
        assert f"{abs(share) * 100:.0f} % {'less' if share >= 0 else 'more'} than" in said
    assert [row[1] for row in rows(shown, "record")] == [str(each["n"]) for each in scores["days"]]


def test_the_state_of_the_data_counts_what_is_due_and_known(site, shown):
    days = site.get(f"v1/zones/{ZONE}/quality")["days"]
    assert shown.locator(".strip .cell").count() == len(days) == 28
    assert [row[1:3] for row in rows(shown, "data")] == [[str(each["due"]), str(each["known"])] for each in days]


def test_the_model_card_names_version_inputs_and_hash(site, shown):
    card = site.get(f"v1/models/champion?zone={ZONE}")
    said = text(shown, "#model")
    assert all(words in said for words in (card["version"], card["manifest_sha256"], card["model"], "load, calendar"))


@pytest.mark.parametrize(
    ("bases", "inputs"),
    [
        ({"weather_basis": "none", "tso_basis": "none"}, "load, calendar"),
        ({"weather_basis": "forecast", "tso_basis": "none"}, "load, calendar, weather"),
        ({"weather_basis": "none", "tso_basis": "reported"}, "load, calendar, operator's forecast"),
    ],
)
def test_the_model_card_names_only_inputs_that_were_used(site, blank, bases, inputs):
    card = site.get(f"v1/models/champion?zone={ZONE}") | {"inputs": ["load", "calendar", "weather", "tso"]} | bases
    page = blank()
    page.route("**/champion*", lambda route: route.fulfill(json=card))
    page.goto("")
    settle(page)
    assert text(page, "#model-card dl div:nth-child(4)") == f"Inputs {inputs}"


@pytest.mark.parametrize("size", ["phone", "desktop"])
@pytest.mark.parametrize("values", [0, 1])
def test_measured_load_is_named_only_where_it_is_seen_and_one_value_is_a_dot(site, blank, size, values):
    load = site.get(f"v1/zones/{ZONE}/load?start=2026-11-22T23:00:00Z&end=2026-11-24T23:00:00Z")
    last = next(each for each in load["intervals"] if each["valid_time"].startswith("2026-11-23T13"))
    load["intervals"] = [{**last, "load": 2500.0}][:values]
    page = blank(size=size, color_scheme="light")
    page.route("**/load*", lambda route: route.fulfill(json=load))
    page.goto("")
    settle(page)
    assert ("measured" in text(page, "#fan .legend")) == bool(values)
    assert (page.evaluate(DARK) > 8) == bool(values)


def test_the_forecast_downloads_as_csv_json_and_parquet(shown):
    heads = {"CSV": b"zone,", "JSON": b"{", "Parquet": b"PAR1"}
    for name, head in heads.items():
        with shown.expect_download() as coming:
            shown.get_by_role("link", name=name, exact=True).click()
        path = coming.value.path()
        assert path.read_bytes().startswith(head)
        assert coming.value.suggested_filename == f"gridcast_{ZONE}_2026-11-24.{name.lower()}"


def test_a_zone_is_chosen_by_list_or_map_and_the_address_remembers_it(visit):
    page = visit()
    page.get_by_label("Bidding zone", exact=True).select_option("DK_2")
    until(page, "document.querySelector('#headline').textContent.startsWith('Eastern')")
    assert page.url.endswith("?zone=DK_2")
    page.get_by_role("button", name="Western Denmark (DK_1)").click()
    until(page, "document.querySelector('#facts .huge')")
    assert page.locator("#zone").input_value() == ZONE
    page.go_back()
    until(page, "document.querySelector('#headline').textContent.startsWith('Eastern')")
    page.reload()
    until(page, "document.querySelector('#headline').textContent.startsWith('Eastern Denmark')")


def test_a_zone_without_data_says_so_with_its_remedy_asks_for_nothing_and_shows_nothing_else(site, visit):
    page = visit("?zone=FR")
    said = text(page, "#fan [role=alert]")
    assert "There is no forecast of France here." in said
    assert "have one made on the server: gridcast issue --zone FR" in said
    assert text(page, "#fan code") == "gridcast issue --zone FR"
    assert page.locator("#status").inner_text() == "France: no forecast to show."
    assert [url for url in page.seen.asked if "/v1/" in url] == [f"{site.url}v1/zones"]
    assert page.seen.complaints == []
    assert page.locator("#zone option:checked").evaluate("(each) => each.parentNode.label") == "No forecast here"
    assert page.locator(".part:visible").count() == 1
    assert page.locator(".headfacts").count() == 0


def test_a_zone_with_load_but_no_forecast_still_shows_its_data(visit):
    page = visit("?zone=DK_2")
    assert "There is no forecast of Eastern Denmark here." in text(page, "#fan")
    assert page.locator("#data .strip .cell").count() == 28
    assert "DK_2 has no trained model" in text(page, "#model")
    assert page.locator("#record").is_hidden()


def test_scores_that_are_not_there_yet_are_promised(blank):
    page = blank()
    page.route(
        "**/scores*", lambda route: route.fulfill(json={"zone": ZONE, "unit": "MW", "days": [], "mean": {"n": 0}})
    )
    page.goto("")
    settle(page)
    assert "No stored forecast can be scored yet" in text(page, "#record")
    assert "No stored forecast has met its actual load yet" in text(page, "#checked")
    assert page.seen.complaints == []


def test_a_page_that_comes_back_to_sight_after_a_while_asks_again(visit):
    page = visit()
    before = len(page.seen.asked)
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    page.clock.set_fixed_time(NOW + timedelta(minutes=11))
    assert len(page.seen.asked) == before
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    for _ in range(100):  # it asks after some turns of the page, and seen is what came in meanwhile
        settle(page)
        if len(page.seen.asked) > before + 5:
            break
        time.sleep(0.05)
    assert len(page.seen.asked) > before + 5


def test_an_address_with_an_unknown_zone_says_so(visit):
    page = visit("?zone=DK_9")
    assert text(page, "#notice") == "There is no bidding zone DK_9; this is Western Denmark."


def test_an_answer_that_fails_names_the_problem_and_is_asked_for_again(blank):
    page, failures = blank(), [503, 503]

    def fail(route):
        if not failures:
            return route.continue_()
        body = {
            "title": "The store is busy",
            "status": 503,
            "detail": "locked",
            "remedy": "try again",
            "request_id": "r7",
        }
        return route.fulfill(status=failures.pop(), content_type="application/problem+json", body=json.dumps(body))

    page.route("**/quality*", fail)
    page.goto("")
    for _ in range(2):
        until(page, "document.querySelector('#data [role=alert]')")
        settle(page)
        assert text(page, "#data-figure") == "The store is busy Locked. What to do: try again Try again Request r7"
        page.locator("#data").get_by_role("button", name="Try again").click()
    until(page, "document.querySelector('#data .strip')")
    assert page.locator("#facts .huge").is_visible()


def test_a_server_that_is_gone_is_told_in_plain_words(blank):
    page = blank()
    page.route("**/v1/zones", lambda route: route.abort())
    page.goto("")
    until(page, "document.querySelector('[role=alert]')")
    assert "The server does not answer What to do: See that gridcast serve is running" in text(page, "#fan")


def test_what_is_still_loading_says_so(blank):
    page = blank()
    page.route("**/v1/zones/**", lambda _: None)
    page.goto("")
    until(page, "document.querySelector('#fan[aria-busy]')")
    assert text(page, "#fan") == "Loading the forecast…"
    assert text(page, "#headline").startswith("Western Denmark")


def test_a_key_that_the_server_asks_for_goes_into_the_header_and_nowhere_else(blank):
    page, key = blank(), "gk_" + "a" * 43

    def guard(route):
        if route.request.headers.get("authorization") == f"Bearer {key}":
            return route.continue_(headers={k: v for k, v in route.request.headers.items() if k != "authorization"})
        body = {"title": "A key is needed", "status": 401, "remedy": "send a key with the scope read"}
        return route.fulfill(status=401, content_type="application/problem+json", body=json.dumps(body))

    page.route("**/v1/**", guard)
    page.goto("")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Use this key").click()
    until(page, "document.querySelector('#facts .huge')")
    assert not any(key in url for url in page.seen.asked)
    assert key not in page.evaluate("JSON.stringify({...localStorage}) + document.cookie + document.body.innerHTML")


def forecast(*, start, steps, minutes=60, degraded="", name="DK_1"):
    """A forecast document whose quantiles rise through the day."""
    levels = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
    first = datetime.fromisoformat(start)
    times = [f"{(first + timedelta(minutes=minutes * n)):%Y-%m-%dT%H:%M:%SZ}" for n in range(steps)]
    intervals = [
        {"valid_time": at, "quantiles": {f"{q:g}": 2000.0 + n + 100 * q for q in levels}} for n, at in enumerate(times)
    ]
    return {
        "zone": name, "issue_time": "2026-10-24T09:00:00Z", "unit": "MW", "resolution": f"PT{minutes}M",
        "model_version": "v", "degraded": degraded, "day": None, "intervals": intervals,
        "peak": {"valid_time": times[-1], "value": intervals[-1]["quantiles"]["0.5"]},
    }  # fmt: skip


def given(page, document):
    page.route(f"**/{ZONE}/forecast*", lambda route: route.fulfill(json=document))
    page.goto("")
    until(page, "document.querySelector('#facts .huge')")
    return page


def test_the_day_that_the_clock_goes_back_has_its_third_hour_twice(blank):
    found = rows(given(blank(), forecast(start="2026-10-24T22:00Z", steps=25)), "forecast")
    hours = ["00:00-01:00", "01:00-02:00", "02:00 CEST-02:00 CET", "02:00-03:00", "03:00-04:00"]
    assert [row[0].replace(TO, "-") for row in found[:5]] == hours
    assert len(found) == 25


def test_quarter_hours_are_shown_as_such_and_a_degraded_forecast_is_marked(blank):
    why = "weather: none since 2026-10-22"
    page = given(blank(), forecast(start="2026-10-24T22:00Z", steps=96, minutes=15, degraded=why))
    assert rows(page, "forecast")[1][0] == f"00:15{TO}00:30"
    assert text(page, "#facts .degraded") == f"Degraded forecast: {why}."
    assert text(page, "#facts dl div:nth-child(2)") == f"Peak hour 22:45{TO}23:00 where the median is highest"


@pytest.mark.parametrize(("day", "waits"), [("2026-11-23T23:00Z", False), ("2026-11-24T23:00Z", True)])
def test_a_demo_without_tomorrows_weather_says_when_it_comes(blank, day, waits):
    page = given(blank(), forecast(start=day, steps=24, degraded="weather is missing"))
    hope = "; the demo's weather of tomorrow is public from 07:00 UTC, and the forecast is made anew then" * waits
    assert text(page, "#facts .degraded") == f"Degraded forecast: weather is missing{hope}."


def test_words_of_the_server_stay_words(blank):
    mark = "<img src=x onerror=alert(1)>"
    page = given(blank(), forecast(start="2026-11-23T23:00Z", steps=24, degraded=mark))
    assert mark in text(page, "#facts .degraded")
    assert page.locator("img").count() == 0


def test_days_begin_and_end_as_the_zones_clock_has_it(site, shown):
    from zoneinfo import ZoneInfo

    days = [f"2026-{month:02}-{day:02}" for month in (1, 3, 4, 10) for day in (1, 4, 5, 25, 28, 29, 30)]
    zones = ["Europe/Copenhagen", "Europe/Helsinki", "Europe/Lisbon", "Australia/Melbourne", "America/Lima"]
    script = """async ([days, zones]) => {
      const {midnight} = await import('./static/words.js');
      return zones.map((tz) => days.map((day) => midnight(day, tz)));
    }"""
    expected = [[datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(tz)).timestamp() for day in days] for tz in zones]
    assert shown.evaluate(script, [days, zones]) == expected
