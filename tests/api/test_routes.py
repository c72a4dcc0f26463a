"""Every route, as a client meets it."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import timedelta

import polars as pl
import pytest

import small_home
from gridcast.api import schemas
from gridcast.api.routes import examples
from gridcast.contracts import QUANTILES

ANSWERS = {
    "/v1/zones": schemas.Zones,
    "/v1/zones/DK_1/forecast": schemas.Forecast,
    "/v1/zones/DK_1/explanation": schemas.Explanation,
    "/v1/zones/DK_1/load": schemas.Load,
    "/v1/zones/DK_2/load": schemas.Load,
    "/v1/zones/DK_1/scores": schemas.Scores,
    "/v1/zones/FR/scores": schemas.Scores,
    "/v1/zones/DK_1/drift": schemas.Drift,
    "/v1/zones/DK_1/quality": schemas.Quality,
    "/v1/models/champion?zone=DK_1": schemas.Card,
    "/health": schemas.Alive,
    "/ready": schemas.Ready,
}


def get(site, path, **headers):
    async def ask():
        async with site.client(**headers) as client:
            return await client.get(path)

    return asyncio.run(ask())


def post(site, path, body):
    async def ask():
        async with site.client() as client:
            return await client.post(path, json=body)

    return asyncio.run(ask())


def history(site, **more):
    cells = small_home.history(site.service)
    load = [{"valid_time": time, "value": value} for time, value in cells]
    return {"zone": "DK_1", "load": load} | more


@pytest.mark.parametrize("path", ANSWERS)
def test_an_answer_has_what_its_schema_says_and_nothing_else(site, path):
    answer = get(site, path)

    assert answer.status_code == 200, answer.text
    ANSWERS[path].model_validate(answer.json())


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (schemas.Zones, examples.ZONES),
        (schemas.Forecast, examples.FORECAST),
        (schemas.Explanation, examples.EXPLANATION),
        (schemas.Load, examples.LOAD),
        (schemas.Scores, examples.SCORES),
        (schemas.Quality, examples.QUALITY),
        (schemas.Drift, examples.DRIFT),
        (schemas.Card, examples.CARD),
        (schemas.Ready, examples.READY),
        (schemas.Predictions, examples.PREDICTIONS),
        (schemas.History, examples.HISTORY),
    ],
)
def test_an_example_keeps_its_own_schema(model, example):
    model.model_validate(example)


def test_the_newest_forecast_is_of_tomorrow_and_the_one_that_was_printed(site):
    answer = get(site, "/v1/zones/DK_1/forecast").json()

    stored = site.service.stored(site.service.zone("DK_1"), day=small_home.TOMORROW)
    assert answer == json.loads(json.dumps(site.service.forecast_document(stored)))
    assert len(answer["intervals"]) == 24


def test_a_day_of_23_hours_has_23_intervals(site):
    assert len(get(site, "/v1/zones/DK_1/forecast?delivery_day=2026-03-29").json()["intervals"]) == 23


def test_a_forecast_comes_as_csv_and_parquet_with_the_same_numbers(site):
    table = site.service.stored(site.service.zone("DK_1")).table
    by_query, by_header = (
        get(site, "/v1/zones/DK_1/forecast?format=csv"),
        get(site, "/v1/zones/DK_1/forecast", accept="text/csv"),
    )
    parquet = get(site, "/v1/zones/DK_1/forecast?format=parquet")

    assert by_query.content == by_header.content
    assert "attachment" in by_query.headers["content-disposition"]
    assert pl.read_csv(io.BytesIO(by_query.content)).height * len(QUANTILES) == table.height
    assert pl.read_parquet(io.BytesIO(parquet.content)).equals(table)


def test_an_answer_that_a_client_has_is_not_sent_again(site):
    first = get(site, "/v1/zones/DK_1/forecast")
    again = get(site, "/v1/zones/DK_1/forecast", **{"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/zones/DK1/forecast", 404, "DK_1"),
        ("/v1/zones/%00/forecast", 404, "no zone"),
        ("/v1/zones/FR/forecast", 404, "no forecast of FR"),
        ("/v1/zones/DK_1/forecast?delivery_day=2026-04-02", 404, "the latest day is 2026-04-01"),
        ("/v1/zones/DK_1/forecast?delivery_day=9999-12-31", 404, "outside the horizon"),
        ("/v1/zones/DK_1/forecast?delivery_day=0001-01-01", 404, "outside the horizon"),
        ("/v1/zones/DK_1/forecast?delivery_day=2026-01-01", 404, "ask for a day from 2026-03-26 to 2026-04-01"),
        ("/v1/zones/DK_1/forecast?delivery_day=2026-02-30", 422, "day is out of range"),
        ("/v1/zones/DK_1/forecast?delivery_day=1774958400", 422, "delivery_day"),
        ("/v1/zones/DK_1/forecast?format=xml", 422, "format"),
        ("/v1/zones/DK_1/forecast?delivery_dat=2026-03-30", 422, "delivery_dat"),
        ("/v1/zones/DK_1/scores?days=7&days=8", 422, "twice"),
        ("/v1/zones/DK_1/scores?days=0", 422, "days"),
        ("/v1/zones/DK_1/scores?days=nan", 422, "days"),
        ("/v1/zones/DK_1/load?start=2026-03-01T00:00:00Z&end=2026-05-01T00:00:00Z", 422, "31 days"),
        ("/v1/zones/DK_1/load?start=2026-03-02T00:00:00Z&end=2026-03-01T00:00:00Z", 422, "end be after start"),
        ("/v1/zones/DK_1/load?start=0001-01-01T00:00:00%2B14:00", 422, "not of our time"),
        ("/v1/zones/DK_1/load?end=0001-01-01T00:00:00Z", 422, "not of our time"),
        ("/v1/zones/DK_1/load?start=9999-12-31T00:00:00Z", 422, "not of our time"),
        ("/v1/zones/DK_1/load?start=2026-03-01", 422, "start"),
        ("/v1/zones/FR/load", 404, "no load of FR"),
        ("/v1/zones/FR/quality", 404, "no load of FR"),
        ("/v1/models/champion?zone=FR", 404, "no trained model"),
        ("/v1/models/champion", 422, "zone"),
        ("/nowhere", 404, "nothing at /nowhere"),
        ("/static/../app.py", 404, "nothing"),
        ("/static/%2e%2e/app.py", 404, "nothing"),
        ("/static//etc/passwd", 404, "nothing"),
    ],
)
def test_a_read_that_cannot_be_answered_says_why_and_what_to_do(site, path, status, words):
    answer = get(site, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["remedy"]
    assert words in answer.text


def test_an_unknown_zone_is_told_with_the_nearest_ones(site):
    assert get(site, "/v1/zones/dk1/load").json()["nearest"][0] == "DK_1"


def test_a_posted_history_is_forecast_and_noted_before_it_is_answered(own_site):
    answer = post(own_site, "/v1/forecast", history(own_site))

    assert answer.status_code == 200, answer.text
    schemas.Forecast.model_validate(answer.json())
    assert answer.json()["zone"] == "DK_1"
    noted = list(own_site.service.journal.entries(kind="on_demand"))
    assert [each.answer for each in noted] == [answer.content]


def test_a_forecast_whose_note_cannot_be_written_is_not_answered(own_site):
    with own_site.service.store.database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE journal")

    answer = post(own_site, "/v1/forecast", history(own_site))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda body: body["load"].pop(100), "1 intervals are missing"),
        (lambda body: body.update(load=body["load"][-24 * 20 :]), "28 days"),
        (lambda body: body.update(load=body["load"][:-24] + body["load"][-1:]), "23 intervals are missing"),
        (lambda body: [each.update(value=each["value"] * 1000) for each in body["load"]], "MW"),
        (lambda body: [each.update(value=each["value"] / 1000) for each in body["load"]], "MW"),
        (lambda body: [each.update(value=each["value"] / 4) for each in body["load"]], "MW"),
        (lambda body: body["load"][7].update(value=20_000.0), "load[7]"),
        (lambda body: body["load"][7].update(value=0), "load[7]"),
        (lambda body: body["load"].append(body["load"][5]), "stands twice"),
        (lambda body: body["load"][9].update(valid_time="2026-03-01T00:07:00Z"), "load[9]"),
        (lambda body: body["load"][9].update(valid_time="2026-03-01T99:00:00Z"), "load[9]"),
        (lambda body: body["load"][9].update(valid_time="yesterday"), "load.9.valid_time"),
        (lambda body: body["load"][9].update(value="2000"), "load.9.value"),
        (lambda body: body["load"][9].update(value=True), "load.9.value"),
        (lambda body: body["load"][9].update(value=None), "load.9.value"),
        (lambda body: body.update(load=[]), "load"),
        (lambda body: body.update(lode=[]), "lode"),
        (lambda body: body.update(delivery_day="2026-04-02"), "the latest day is 2026-04-01"),
        (lambda body: body.update(delivery_day="2026-02-30"), "day is out of range"),
        (lambda body: body.update(issue_time="2027-01-01T00:00:00Z"), "still to come"),
        (lambda body: body.update(issue_time="2026-03-30T08:00:00Z"), "end after the issue"),
        (lambda body: body.update(temperature=[{"valid_time": "2026-03-30T08:00:00Z", "value": 50.0}] * 2), "twice"),
    ],
)
def test_a_history_that_will_not_do_is_refused_and_not_noted(site, change, words):
    before = site.service.journal.head().count
    body = history(site)
    change(body)

    answer = post(site, "/v1/forecast", body)

    assert answer.status_code == 422, answer.text
    assert words in answer.text
    assert answer.json()["remedy"]
    assert site.service.journal.head().count == before


def test_a_zone_that_does_not_exist_is_404_and_one_without_a_model_422(site):
    assert post(site, "/v1/forecast", history(site, zone="DK_9")).status_code == 404
    answer = post(site, "/v1/forecast", history(site, zone="DK_2"))
    assert (answer.status_code, "no trained model" in answer.text) == (422, True)


def test_the_classic_window_gives_24_values_in_mw_and_is_noted(own_site):
    from gridcast.models.classic_onnx import Classic

    network, journal = Classic.load(), own_site.service.journal
    noted = len(list(journal.entries(kind="classic")))
    answer = post(own_site, "/predict", {"features": network.example.tolist()})

    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == pytest.approx(network.card.canary.expected, rel=1e-4)
    assert (answer.json()["unit"], answer.json()["model_version"]) == ("MW", network.version)
    assert [each.answer for each in journal.entries(kind="classic")][noted:] == [answer.content]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"features": [[1.0] * 12] * 95}, '"received":"95 x 12"'),
        ({"features": [[1.0] * 11] * 96}, '"expected":"96 x 12"'),
        ({"features": [[1.0] * 12] * 95 + [[1.0]]}, "rows of different lengths"),
        ({"features": "load"}, "features"),
        ({"features": [[None] * 12] * 96}, "numbers"),
        ({"features": [[1e9] * 12] * 96}, "possible"),
        ({"window": []}, "features"),
        ([], "features"),
        (7, "features"),
    ],
)
def test_a_window_that_is_none_is_refused_with_what_was_expected(site, body, words):
    answer = post(site, "/predict", body)
    assert answer.status_code == 422, answer.text
    assert words in answer.text


def test_the_openapi_document_names_every_schema_that_it_refers_to(site):
    document = get(site, "/openapi.json").json()
    text = json.dumps(document)

    known = document["components"]["schemas"]
    referred = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert referred <= set(known)
    assert {"History", "Window", "Problem", "Forecast"} <= set(known)
    described = {path: set(methods) for path, methods in document["paths"].items()}
    assert described["/predict"] == described["/v1/forecast"] == {"post"}
    assert all(
        "example" in method["responses"]["200"]["content"]["application/json"]
        for path, methods in document["paths"].items()
        for method in methods.values()
        if path != "/metrics"
    )


def test_the_dashboard_is_served_with_its_types_and_can_be_kept(site):
    front = get(site, "/")
    assert front.headers["content-type"] == "text/html; charset=utf-8"
    assert front.headers["etag"]
    assert get(site, "/static/main.js").headers["content-type"] == "text/javascript; charset=utf-8"


def test_what_is_stored_later_is_answered_once_the_state_is_looked_at_again(own_site):
    from gridcast import pipeline

    service = own_site.service
    own_site.clock.at += timedelta(days=1)
    before = get(own_site, "/v1/zones/DK_1/forecast").json()
    pipeline.issue_and_store(service.store, service.registry, zone=service.zone("DK_1"), now=own_site.clock.now())

    own_site.current.refresh()
    after = get(own_site, "/v1/zones/DK_1/forecast").json()
    assert before["intervals"][0]["valid_time"] < after["intervals"][0]["valid_time"]


def test_requests_reads_and_ages_are_counted(own_site):
    for _ in range(3):
        get(own_site, "/v1/zones/DK_1/forecast")
    get(own_site, "/v1/zones/DK9/forecast")
    post(own_site, "/predict", {"features": []})

    page = get(own_site, "/metrics").text
    route = 'method="GET",route="/v1/zones/{zone}/forecast"'
    assert f'gridcast_requests_total{{{route},status="200"}} 3.0' in page
    assert f'gridcast_errors_total{{{route},status="404"}} 1.0' in page
    assert 'gridcast_forecasts_read_total{zone="DK_1"} 3.0' in page
    assert 'gridcast_input_bytes_count{method="POST",route="/predict"} 1.0' in page
    assert 'gridcast_forecast_age_hours{zone="DK_1"}' in page
    assert 'gridcast_data_age_hours{zone="DK_1"}' in page
    assert "gridcast_ready 1.0" in page
