"""Everybody can read it: by keyboard, by screen reader, in the dark, on a narrow screen, without motion."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from dashboards import TO, settle, text, until

CONTRAST = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const paper = (each) => {
    for (let at = each; at; at = at.parentElement) {
      const [r, g, b, a = 1] = channels(getComputedStyle(at).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const faint = [];
  let seen = 0;
  for (const each of document.querySelectorAll("body *")) {
    const own = [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !each.checkVisibility() || each.disabled || each.closest("noscript, option, svg")) continue;
    const style = getComputedStyle(each);
    const size = parseFloat(style.fontSize);
    const wanted = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const [one, other] = [light(channels(style.color)), light(paper(each))].sort((a, b) => b - a);
    const found = (one + 0.05) / (other + 0.05);
    seen += 1;
    if (found < wanted) faint.push(`${each.tagName}: ${each.textContent.trim().slice(0, 30)} ${found.toFixed(2)}`);
  }
  return [seen, faint];
}"""

NAMELESS = """() => {
  const wanted = `button, select, input, a[href], summary, nav, section, [tabindex='0'],
    [role=group], [role=region], [role=img]`;
  const text = (each) => each?.textContent;
  const named = (each) => [each.ariaLabel, ...[...(each.labels ?? [])].map(text),
    text(document.getElementById(each.getAttribute("aria-labelledby"))),
    each.matches("button, a, summary, pre") ? text(each) : ""].some((name) => name?.trim());
  return [...document.querySelectorAll(wanted)].filter((each) => !named(each)).map((each) => each.outerHTML);
}"""

PAPER = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def phone(opened: Any) -> Iterator[Any]:
    """The page on a phone, for tests that only look or touch."""
    page = opened(size="phone", has_touch=True)
    page.goto("")
    settle(page)
    yield page
    page.context.close()


@pytest.mark.parametrize("path", ["", "?zone=FR"])
def test_all_text_stands_out_from_its_paper_in_both_themes(visit, path):
    page = visit(path, color_scheme="light", reduced_motion="reduce")
    page.evaluate("() => document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    light, papers = page.evaluate(f"() => {PAPER}"), []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        until(page, f"({PAPER} === '{light}') === {str(scheme == 'light').lower()}")
        papers.append(page.evaluate(f"() => {PAPER}"))
        seen, faint = page.evaluate(CONTRAST)
        assert seen >= 15
        assert faint == []
    assert len(set(papers)) == 2


def test_every_control_region_and_chart_has_a_name(shown):
    assert shown.evaluate(NAMELESS) == []
    assert shown.evaluate("() => document.documentElement.lang") == "en"
    assert "Western Denmark" in shown.title()


def test_no_id_stands_twice_and_every_reference_finds_its_own(shown):
    ids = shown.evaluate("() => [...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))
    for name in ("aria-labelledby", "for"):
        found = shown.evaluate("(n) => [...document.querySelectorAll(`[${n}]`)].map((e) => e.getAttribute(n))", name)
        assert found
        assert set(found) <= set(ids)


def test_headings_and_landmarks_tell_the_page_in_order(shown):
    levels = shown.evaluate("() => [...document.querySelectorAll('h1, h2, h3')].map((each) => Number(each.tagName[1]))")
    assert levels == [1, 2, 2, 2, 2, 2]
    script = "() => ['header', 'main', 'nav', 'footer'].map((name) => document.querySelectorAll(name).length)"
    assert shown.evaluate(script) == [1, 1, 1, 1]


def test_every_chart_says_in_words_what_it_shows_and_has_its_table(shown):
    labels = shown.evaluate("() => [...document.querySelectorAll('.plot, .strip')].map((each) => each.ariaLabel)")
    assert len(labels) == 5
    assert all("table below" in label for label in labels)
    script = "() => [...document.querySelectorAll('figure')].map((each) => each.querySelectorAll('caption').length)"
    assert shown.evaluate(script) == [1] * 5


def test_a_screen_reader_hears_the_forecast_once_it_is_there(shown):
    said = shown.locator("#status").inner_text().replace(TO, "-")
    day = r"Western Denmark, Tomorrow Tuesday 24 November 2026"
    assert re.fullmatch(rf"{day}: peak [\d,]+.MW, \d\d:00-\d\d:00, issued Mon 23 Nov, 11:00 CET\.", said)


def test_the_tab_key_reaches_everything_in_the_order_of_the_page_and_shows_where_it_is(visit):
    page = visit()
    wanted = page.evaluate("""() => [...document.querySelectorAll(
      'a[href], button, select, input, summary, [tabindex="0"]'
    )].filter((each) => !each.disabled && each.checkVisibility()).length""")
    walked = []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        walked.append(
            page.evaluate("""() => {
              const each = document.activeElement;
              const {outlineWidth, outlineStyle} = getComputedStyle(each);
              return [[...document.querySelectorAll('*')].indexOf(each), parseFloat(outlineWidth), outlineStyle];
            }""")
        )
    orders = [order for order, *_ in walked]
    assert orders == sorted(set(orders))
    assert all(width >= 1 and style != "none" for _, width, style in walked)


def test_the_first_tab_offers_to_skip_to_the_forecast(visit):
    page = visit()
    page.keyboard.press("Tab")
    link = page.get_by_role("link", name="Skip to the forecast")
    assert link.bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "forecast"


def test_arrow_keys_read_a_chart_interval_by_interval(shown):
    shown.locator("#fan .plot").focus()
    shown.keyboard.press("End")
    assert text(shown, "#fan .readout").startswith(f"23:00{TO}00:00 · median ")
    shown.keyboard.press("ArrowLeft")
    assert text(shown, "#fan .readout").startswith(f"22:00{TO}23:00 · median ")
    shown.keyboard.press("Home")
    before = r"00:00-01:00 · forecast the day before [\d,]+.MW · measured [\d,]+.MW"
    assert re.fullmatch(before, text(shown, "#fan .readout").replace(TO, "-"))
    shown.keyboard.press("Escape")
    assert text(shown, "#fan .readout").startswith("Point at the chart")


def test_the_pointer_reads_the_same(shown):
    shown.locator("#checked .plot").scroll_into_view_if_needed()
    box = shown.locator("#checked .u-over").bounding_box()
    shown.mouse.move(box["x"] + box["width"] * 17.5 / 24, box["y"] + 40)
    until(shown, f"document.querySelector('#checked .readout').textContent.startsWith('17:00{TO}18:00')")
    assert "operator" in text(shown, "#checked .readout")


def test_the_theme_follows_the_system_until_somebody_chooses_and_the_choice_stays(visit):
    page = visit(color_scheme="light")
    button = page.get_by_role("button", name="Dark")
    drawn = """() => {
      const canvas = document.querySelector('#fan canvas');
      const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return data.reduce((sum, value) => (sum * 31 + value) % 1e9, 7);
    }"""
    light, chart = page.evaluate(f"() => {PAPER}"), page.evaluate(drawn)
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    dark = page.evaluate(f"() => {PAPER}")
    assert dark != light
    assert page.evaluate(drawn) != chart
    page.reload()
    assert page.evaluate(f"() => {PAPER}") == dark
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert page.evaluate(f"() => {PAPER}") == light
    assert page.evaluate("() => localStorage.getItem('gridcast.theme')") is None
    page.emulate_media(color_scheme="dark")
    until(page, f"{PAPER} === '{dark}'")


def test_nothing_runs_out_of_the_page_sideways(visit):
    page = visit()
    for width in (320, 390, 768, 1081, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        until(
            page,
            "[...document.querySelectorAll('.u-wrap')].every((e) => e.getBoundingClientRect().right <= innerWidth)",
        )
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, 360, 390, 720])
def test_the_masthead_keeps_its_words_whole(visit, width):
    page = visit("?zone=DK_2")
    page.set_viewport_size({"width": width, "height": 450})
    assert page.locator("#theme").bounding_box()["height"] <= 44
    wanted = page.evaluate("""() => {
      const select = document.querySelector('#zone');
      const alone = select.cloneNode();
      alone.append(new Option(select.selectedOptions[0].text));
      document.body.append(alone);
      alone.style.width = alone.style.maxWidth = 'max-content';
      return alone.getBoundingClientRect().width - select.getBoundingClientRect().width;
    }""")
    assert wanted <= 1


def test_a_finger_finds_every_control(phone):
    script = """() => [...document.querySelectorAll('button, select, input, summary, .downloads a')]
      .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 24)
      .map((each) => each.outerHTML)"""
    assert phone.evaluate(script) == []


def test_a_finger_reads_the_chart(phone):
    phone.locator("#fan .plot").scroll_into_view_if_needed()
    box = phone.locator("#fan .u-over").bounding_box()
    phone.touchscreen.tap(box["x"] + box["width"] * 0.8, box["y"] + 60)
    until(phone, "document.querySelector('#fan .readout').textContent.includes('median')")


def test_large_type_keeps_the_facts_apart(phone):
    phone.evaluate(
        "() => { for (const each of [document.documentElement, document.body]) each.style.fontSize = '200%'; }"
    )
    boxes = [each.bounding_box() for each in phone.locator(".headfacts .large, .headfacts .huge").all()]
    for one, other in itertools.combinations(boxes, 2):
        apart_x = one["x"] + one["width"] <= other["x"] + 1 or other["x"] + other["width"] <= one["x"] + 1
        apart_y = one["y"] + one["height"] <= other["y"] + 1 or other["y"] + other["height"] <= one["y"] + 1
        assert apart_x or apart_y


def test_nothing_moves_for_who_wants_no_motion(blank):
    moving = {}
    for motion in ("no-preference", "reduce"):
        page = blank(reduced_motion=motion)
        page.route("**/v1/zones/**", lambda _: None)
        page.goto("")
        until(page, "document.querySelector('#fan .loading')")
        moving[motion] = page.evaluate("() => document.getAnimations().length")
    assert moving["no-preference"] > 0
    assert moving["reduce"] == 0


def test_without_scripts_the_page_says_where_the_numbers_are(blank):
    page = blank(java_script_enabled=False)
    page.goto("")
    assert page.locator("noscript p").is_visible()
    assert page.locator("noscript a").get_attribute("href") == "v1/zones"
    assert page.locator(".part:visible").count() == 1
