"""Energi Data Service answers that are wrong in what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from gridcast.simulate.exchange import Ask, Reply
from gridcast.simulate.faults.catalogue import Spoilt, add, described

Page = dict[str, Any]
Edit = Callable[[Page], Page | str | bytes]

_LOADS = ("GrossCon", "GrossConsumptionMWh", "ProductionGe100MW")


def _records(edit: Edit) -> Edit:
    """A fault of a page of records: the function gets the sound page, parsed, and may give back raw text."""
    name, sentence = described(edit)

    def spoil(reply: Reply, _ask: Ask) -> Spoilt:
        if not reply.body.startswith(b'{"total"') or b'"records":[{' not in reply.body:
            return None
        edited = edit(json.loads(reply.body))
        if isinstance(edited, dict):
            edited = json.dumps(edited, ensure_ascii=False, separators=(",", ":"))
        body = edited.encode() if isinstance(edited, str) else edited
        return None if body == reply.body else replace(reply, body=body)

    add(name, sentence, layer="content", providers=("energidata",), spoil=spoil)
    return edit


def _stamps(record: dict[str, Any]) -> list[str]:
    return [name for name in record if name.endswith(("UTC", "DK")) and isinstance(record[name], str)]


def _load(record: dict[str, Any]) -> str:
    return next((name for name in _LOADS if name in record), next(reversed(record)))


def _middle(page: Page) -> dict[str, Any]:
    record: dict[str, Any] = page["records"][len(page["records"]) // 2]
    return record


def _text(page: Page) -> str:
    return json.dumps(page, ensure_ascii=False, separators=(",", ":"))


def _scaled(value: object, factor: float) -> object:
    return round(value * factor, 6) if isinstance(value, int | float) else value


@_records
def utc_is_local(page: Page) -> Page:
    """The column of UTC times holds Danish local time."""
    for record in page["records"]:
        utc = [name for name in _stamps(record) if name.endswith("UTC")]
        local = [name for name in _stamps(record) if name.endswith("DK")]
        for name, other in zip(utc, local, strict=False):
            record[name] = record[other]
    return page


@_records
def records_an_hour_late(page: Page) -> Page:
    """Every time is an hour too late."""
    for record in page["records"]:
        for name in _stamps(record):
            record[name] = (datetime.fromisoformat(record[name]) + timedelta(hours=1)).isoformat()
    return page


@_records
def stamps_with_offset(page: Page) -> Page:
    """The times, naive by contract, have an offset."""
    for record in page["records"]:
        for name in _stamps(record):
            record[name] += "+02:00"
    return page


@_records
def stamps_garbled(page: Page) -> Page:
    """A time is no time."""
    record = _middle(page)
    record[_stamps(record)[0]] = "yesterday"
    return page


@_records
def records_twice(page: Page) -> Page:
    """Every record stands twice."""
    page["records"] = [record for record in page["records"] for _ in range(2)]
    return page


@_records
def records_conflict(page: Page) -> Page:
    """A record stands twice, with two values."""
    record = _middle(page)
    page["records"].append(record | {_load(record): _scaled(record[_load(record)], 1.1)})
    return page


@_records
def version_unknown(page: Page) -> Page:
    """The records are of a version nobody knows, or have got one."""
    for record in page["records"]:
        record["Version"] = "Provisional"
    return page


@_records
def null_loads(page: Page) -> Page:
    """Every second load is null."""
    for record in page["records"][::2]:
        record[_load(record)] = None
    return page


@_records
def string_numbers(page: Page) -> Page:
    """The loads are text with a decimal comma."""
    for record in page["records"]:
        record[_load(record)] = str(record[_load(record)]).replace(".", ",")
    return page


@_records
def boolean_load(page: Page) -> Page:
    """A load is true."""
    record = _middle(page)
    record[_load(record)] = True
    return page


@_records
def negative_load(page: Page) -> Page:
    """A load is negative."""
    record = _middle(page)
    record[_load(record)] = -1e5
    return page


@_records
def records_times_thousand(page: Page) -> Page:
    """Every number is a thousand times too large."""
    for record in page["records"]:
        record.update({name: _scaled(value, 1000.0) for name, value in record.items()})
    return page


@_records
def wrong_area(page: Page) -> Page:
    """The records are of an area nobody asked for."""
    for record in page["records"]:
        record["PriceArea"] = "SE4"
    return page


@_records
def areas_swapped(page: Page) -> Page:
    """The two areas stand for each other."""
    for record in page["records"]:
        record["PriceArea"] = {"DK1": "DK2", "DK2": "DK1"}.get(record.get("PriceArea", ""), "DK1")
    return page


@_records
def area_missing(page: Page) -> Page:
    """The records do not say of which area they are."""
    for record in page["records"]:
        record.pop("PriceArea", None)
    return page


@_records
def load_column_missing(page: Page) -> Page:
    """The column of loads is gone."""
    for record in page["records"]:
        del record[_load(record)]
    return page


@_records
def total_mismatch(page: Page) -> Page:
    """There are fewer records than the total promises."""
    page["total"] = int(page["total"]) + 24
    return page


@_records
def total_too_small(page: Page) -> Page:
    """There are more records than the total says."""
    return page | {"total": int(page["total"]) - 1}


@_records
def last_records_missing(page: Page) -> Page:
    """The last hours are gone, and the total with them."""
    page["records"] = page["records"][: max(1, len(page["records"]) * 3 // 4)]
    page["total"] = len(page["records"])
    return page


@_records
def unsorted(page: Page) -> Page:
    """The records are in no order."""
    page["records"] = page["records"][1::2] + page["records"][::2]
    return page


@_records
def shifted_page(page: Page) -> Page:
    """The page begins one record late, as when a record came in between."""
    page["records"] = page["records"][1:]
    return page


@_records
def extra_columns(page: Page) -> Page:
    """The records have a new column; all else is sound."""
    for record in page["records"]:
        record["NewIn2027"] = 0
    return page


@_records
def other_dataset(page: Page) -> Page:
    """The page says that it is of another data set."""
    return page | {"dataset": "Elspotprices"}


@_records
def records_a_dictionary(page: Page) -> Page:
    """The records are no list."""
    return page | {"records": {str(n): record for n, record in enumerate(page["records"])}}


@_records
def records_missing(page: Page) -> Page:
    """There is a total and no records."""
    del page["records"]
    return page


@_records
def page_empty(page: Page) -> Page:
    """The page says that there is nothing, though there is."""
    return page | {"total": 0, "records": []}


@_records
def duplicate_key(page: Page) -> str:
    """A record has one column twice."""
    name = _load(_middle(page))
    return _text(page).replace(f'"{name}":', f'"{name}":1.0,"{name}":', 1)


@_records
def records_json_truncated(page: Page) -> str:
    """The JSON ends in the middle of a record."""
    text = _text(page)
    return text[: len(text) // 2]


@_records
def records_nan(page: Page) -> Page:
    """A load is the bare word NaN."""
    record = _middle(page)
    record[_load(record)] = float("nan")
    return page


@_records
def records_infinite(page: Page) -> str:
    """A load is 1e999."""
    record = _middle(page)
    record[_load(record)] = "\0"
    return _text(page).replace('"\\u0000"', "1e999")


@_records
def records_nested(_page: Page) -> str:
    """The JSON lies 100,000 brackets deep."""
    return "[" * 100_000 + "]" * 100_000


@_records
def error_with_200(_page: Page) -> Page:
    """An error message comes with status 200."""
    return {"statusCode": 500, "message": "Internal server error"}
