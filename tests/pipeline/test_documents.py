"""Forecasts as JSON and CSV: the numbers are the table's, in the table's order."""

from __future__ import annotations

import io
import json

import polars as pl
import pytest

import small_home
from gridcast.contracts import QUANTILES
from gridcast.market.zones import zone
from gridcast.pipeline import documents


@pytest.fixture(scope="module")
def stored():
    service = small_home.service(small_home.home())
    return service.stored(service.zone("DK_1"))


def test_every_number_of_a_forecast_is_the_tables_to_a_watt(stored):
    document = documents.forecast_document(stored.table, zone=stored.zone)

    said = [value for each in document["intervals"] for value in each["quantiles"].values()]
    assert said == pytest.approx(stored.table["value"].to_list(), abs=5e-4)
    assert [each["valid_time"] for each in document["intervals"]] == [
        f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in stored.table["valid_time"].unique(maintain_order=True)
    ]
    assert list(document["intervals"][0]["quantiles"]) == [f"{level:g}" for level in QUANTILES]


def test_the_peak_is_the_highest_median(stored):
    document = documents.forecast_document(stored.table, zone=stored.zone)

    top = max(document["intervals"], key=lambda each: each["quantiles"]["0.5"])
    assert document["peak"] == {"valid_time": top["valid_time"], "value": top["quantiles"]["0.5"]}


def test_a_csv_has_a_row_an_interval_and_a_column_a_quantile(stored):
    table = pl.read_csv(io.StringIO(documents.forecast_csv(stored.table)))

    assert table.height * len(QUANTILES) == stored.table.height
    assert table.columns[-len(QUANTILES) :] == [f"q{level:g}" for level in QUANTILES]
    assert table["q0.5"].to_list() == stored.table.filter(pl.col("quantile") == 0.5)["value"].to_list()


def test_a_document_without_an_outlook_says_so(stored):
    document = documents.issued_document(stored.table, zone=stored.zone, day=None)
    assert document["day"] is None
    json.dumps(document, allow_nan=False)


def test_the_terms_of_an_explanation_sum_to_the_forecast():
    service = small_home.service(small_home.home())
    document = service.explanation_document(service.stored(zone("DK_1")))

    assert document["intervals"]
    for each in document["intervals"]:
        assert sum(each["terms_mw"].values()) == pytest.approx(each["forecast_mw"], rel=1e-9)
        assert list(each["terms_mw"]) == document["terms"]
