"""The File Library: log in, list, download, and read what the web service would have said."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from urllib.parse import urlencode

import numpy as np
import polars as pl
import pytest

from gridcast.market.zones import zone
from gridcast.simulate import World, running

LIST, GET = "/entsoe/files/listFolder", "/entsoe/files/downloadFileContent"
FOLDER = "/TP_export/ActualTotalLoad_6.1.A_r3/"
FILE = "2025_10_ActualTotalLoad_6.1.A_r3.csv"
FORM = {"client_id": "tp-fms-public", "grant_type": "password", "username": "me", "password": "secret"}


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture
def url(world, clock):
    with running(world, clock=clock) as url:
        yield url


@pytest.fixture
def bearer(url, get):
    token = get(url, "/entsoe/login", body=urlencode(FORM).encode()).json["access_token"]
    return {"Authorization": f"Bearer {token}"}


def test_a_folder_lists_its_months(url, get, bearer):
    listed = get(url, LIST, body={"path": FOLDER, "pageInfo": {"pageIndex": 1, "pageSize": 100}}, headers=bearer).json
    names = [item["name"] for item in listed["contentItemList"]]

    assert names[0] == "2023_04_ActualTotalLoad_6.1.A_r3.csv"
    assert names[-1] == "2025_11_ActualTotalLoad_6.1.A_r3.csv"
    assert listed["totalCount"] == 100 + len(names)


def test_a_file_holds_every_areas_month_with_its_updates(world, clock, url, get, bearer):
    body = {"folder": FOLDER, "filename": FILE, "downloadAsZip": True, "topLevelFolder": "TP_export"}
    got = get(url, GET, body=body, headers=bearer)
    with zipfile.ZipFile(io.BytesIO(got.body)) as archive:
        assert archive.namelist() == [FILE]
        raw = archive.read(FILE)
    table = pl.read_csv(raw, separator="\t", infer_schema=False)
    rows = table.filter(pl.col("AreaCode") == zone("DK_1").eic)
    strip = world.load(zone("DK_1"), begin=datetime(2025, 10, 1, tzinfo=UTC), end=datetime(2025, 11, 1, tzinfo=UTC))

    assert raw.startswith(b"\xef\xbb\xbf")
    assert table.columns == [
        *("DateTime(UTC)", "ResolutionCode", "AreaCode", "AreaDisplayName", "AreaTypeCode", "AreaMapCode"),
        *("TotalLoad[MW]", "UpdateTime(UTC)"),
    ]
    assert rows["TotalLoad[MW]"].cast(pl.Float64).to_list() == strip.as_of(clock.now()).tolist()
    updates = rows["UpdateTime(UTC)"].str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us").to_numpy()
    assert (updates == strip.updated_at(clock.now())).all()
    assert (updates > strip.published_at[0]).mean() == pytest.approx(
        np.mean(strip.value[0] != strip.value[-1]), abs=0.03
    )
    assert set(table.filter(pl.col("AreaCode") == zone("FI").eic)["AreaTypeCode"]) == {"BZN", "CTY", "CTA"}


def test_a_file_can_be_had_by_its_id(url, get, bearer):
    (item,) = get(url, LIST, body={"path": FOLDER, "pageInfo": {"pageIndex": 131, "pageSize": 1}}, headers=bearer).json[
        "contentItemList"
    ]
    assert item["name"].startswith("2025_11")
    assert get(url, GET, body={"fileIdList": [item["fileId"]]}, headers=bearer).body[:2] == b"PK"


def test_who_has_no_token_or_an_old_one_is_not_let_in(url, clock, get, bearer):
    assert get(url, LIST, body={"path": FOLDER}).status == 401
    clock.sleep(300)
    assert get(url, LIST, body={"path": FOLDER}, headers=bearer).status == 401
    assert get(url, "/entsoe/login", body=urlencode(FORM | {"password": ""}).encode()).status == 401
    assert get(url, "/entsoe/login", body=b"client_id=x").status == 400


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (LIST, {"path": "/etc/"}, 404),
        (LIST, {"path": FOLDER, "pageInfo": {"pageSize": "many"}}, 400),
        (LIST, b"[", 400),
        (GET, {"folder": FOLDER, "filename": "2099_01.csv"}, 404),
        ("/entsoe/files/deleteFile", {"path": FOLDER}, 400),
    ],
)
def test_what_there_is_not_is_refused(url, get, bearer, *, path, body, status):
    assert get(url, path, body=body, headers=bearer).status == status
