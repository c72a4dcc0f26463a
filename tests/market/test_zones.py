from __future__ import annotations

import re
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.errors import ConfigError, UnknownZone
from gridcast.market.zones import Region, eic_check_character, zone, zones

ZONES = tuple(zones().values())
every_zone = pytest.mark.parametrize("zone_", ZONES, ids=lambda zone_: zone_.code)

PROMISED = "DK_1 DK_2 DK NO_1 NO_2 NO_3 NO_4 NO_5 SE_1 SE_2 SE_3 SE_4 FI DE_LU FR ES NL BE AT PL CZ GB VIC"
NO_GATE = {"AL", "BA", "CY", "MD", "ME", "MK", "UA", "XK"}
NOT_COUPLED = {"CH", "RS", "GB", "VIC", "DK"} | NO_GATE


@pytest.mark.parametrize("code", PROMISED.split())
def test_every_promised_zone_is_there(code):
    assert zone(code).code == code


def test_zones_come_sorted_by_code_and_each_call_hands_out_its_own_table():
    table = zones()
    assert list(table) == sorted(table)
    assert all(code == zone_.code for code, zone_ in table.items())
    table.clear()
    assert zones()


@every_zone
def test_the_check_character_of_each_eic_is_right(zone_):
    if zone_.eic is None:
        assert zone_.files_only
        return
    assert len(zone_.eic) == 16
    assert eic_check_character(zone_.eic[:15]) == zone_.eic[15]


def test_no_two_zones_share_an_eic():
    codes = [zone_.eic for zone_ in ZONES if zone_.eic]
    assert len(set(codes)) == len(codes)


@given(st.sampled_from([zone_.eic for zone_ in ZONES if zone_.eic]), st.integers(0, 14), st.sampled_from("0129AKZ-"))
def test_a_mistyped_character_of_an_eic_never_passes_the_check(eic, place, other):
    if eic[place] != other:
        assert eic_check_character(eic[:place] + other + eic[place + 1 : 15]) != eic[15]


@every_zone
def test_time_zones_are_iana_names_in_their_exact_case(zone_):
    assert {zone_.market_tz, zone_.local_tz} <= available_timezones()


@every_zone
def test_weather_points_lie_in_the_zones_part_of_the_world_and_their_weights_sum_to_one(zone_):
    assert zone_.weather_points
    assert sum(point.weight for point in zone_.weather_points) == pytest.approx(1, abs=1e-12)
    assert all(point.weight > 0 for point in zone_.weather_points)
    south, north, west, east = (-39.5, -34, 140.9, 150) if zone_.code == "VIC" else (34, 71.5, -11, 37)
    for point in zone_.weather_points:
        assert south <= point.latitude <= north, point
        assert west <= point.longitude <= east, point


@every_zone
def test_regions_differ_from_each_other_and_their_weights_sum_to_one(zone_):
    if zone_.regions:
        assert sum(region.weight for region in zone_.regions) == pytest.approx(1, abs=1e-12)
        assert all(region.weight > 0 for region in zone_.regions)
        assert len({(region.country, region.subdivision) for region in zone_.regions}) == len(zone_.regions)


def test_zones_have_regions_where_public_or_school_holidays_differ_within_them():
    by_holiday, by_school = {"CH", "DE_LU", "ES", "FR", "GB", "IE_SEM", "PT"}, {"AT", "BE", "NL", "PL"}
    assert {z.code for z in ZONES if z.regions and z.country != "IT"} == by_holiday | by_school
    assert all(z.regions for z in ZONES if z.country == "IT")
    assert Region("GB", "NIR", pytest.approx(0.27, abs=0.01)) in zone("IE_SEM").regions


def test_weather_points_of_one_country_do_not_share_a_place():
    places = [(p.latitude, p.longitude) for zone_ in ZONES if not zone_.members for p in zone_.weather_points]
    assert len(set(places)) == len(places)


@every_zone
def test_the_forecast_is_issued_before_the_gate_closes(zone_):
    if zone_.gate_closure is None:
        assert zone_.members or zone_.code in NO_GATE
    else:
        assert zone_.issue_time < zone_.gate_closure


@every_zone
def test_coupled_zones_share_one_gate_and_one_issue_time(zone_):
    own = (str(zone_.gate_closure), str(zone_.issue_time))
    assert (own == ("12:00:00", "11:00:00")) == (zone_.code not in NOT_COUPLED)


def test_denmark_is_the_sum_of_its_zones_by_load_without_a_gate():
    denmark, west = zone("DK"), zone("DK_1")
    assert denmark.members == ("DK_1", "DK_2")
    assert denmark.member_weights == pytest.approx((0.605, 0.395))
    assert denmark.gate_closure is None
    assert denmark.issue_time.hour == 11
    aarhus = next(point for point in denmark.weather_points if point.name == "Aarhus")
    assert aarhus.weight == pytest.approx(0.605 * west.weather_points[0].weight)


def test_the_operators_forecast_is_no_input_where_it_is_refreshed_after_the_issue():
    assert {zone_.code for zone_ in ZONES if not zone_.tso_input} == {"DK", "DK_1", "DK_2", "FI"}


def test_denmark_has_a_second_source_and_files_have_none():
    sources = {zone_.code: zone_.sources for zone_ in ZONES}
    assert {code for code, names in sources.items() if names == ("entsoe", "energidata")} == {"DK", "DK_1", "DK_2"}
    assert {code for code, names in sources.items() if not names} == {"GB", "IE_SEM", "VIC"}
    assert {names for names in sources.values() if len(names) == 1} == {("entsoe",)}


@pytest.mark.parametrize(
    ("line", "expected"),
    [("", ()), ('sources = ["energidata", "entsoe"]', ("energidata", "entsoe")), ("sources = []", ())],
)
def test_a_user_names_the_sources_of_a_zone_best_first(written, line, expected):
    text = f'[TOWN]\nname = "Town"\ncountry = "DK"\nmarket_tz = "Europe/Copenhagen"\n{line}\n'
    portfolio = '[ALL]\nname = "All"\nmembers = ["SE_4", "DK_2", "TOWN"]\nmarket_tz = "Europe/Copenhagen"\n'
    file = written(text + portfolio + 'local_tz = "Europe/Copenhagen"\ncountry = "DK"\n')
    assert zone("TOWN", user_file=file).sources == expected
    assert zone("ALL", user_file=file).sources == ("entsoe", "energidata")


def test_zones_without_a_live_source_come_as_files_only():
    assert {zone_.code for zone_ in ZONES if zone_.files_only} == {"GB", "IE_SEM", "VIC"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("dk1", "DK_1"),
        ("DK-1", "DK_1"),
        ("de", "DE_LU"),
        ("Denmark", "DK"),
        ("no", "NO_1"),
        ("fi", "FI"),
        ("SE5", "SE_4"),
    ],
)
def test_an_unknown_zone_names_the_nearest(typed, meant):
    with pytest.raises(UnknownZone, match=re.escape(meant)) as caught:
        zone(typed)
    assert caught.value.zone == typed
    assert caught.value.nearest[0] == meant
    assert len(caught.value.nearest) <= 3


@pytest.mark.parametrize("typed", ["", "---", "qqqqqqqq"])
def test_an_unknown_zone_like_no_other_says_where_the_zones_are_listed(typed):
    with pytest.raises(UnknownZone, match="gridcast zones") as caught:
        zone(typed)
    assert caught.value.nearest == []


@given(st.text(max_size=40))
def test_any_text_is_a_zone_or_an_unknown_one(code):
    known = set(zones())
    if code in known:
        assert zone(code).code == code
    else:
        with pytest.raises(UnknownZone) as caught:
            zone(code)
        assert set(caught.value.nearest) <= known


# The user's own zones

TOWN = """
[TOWN]
name = "Our town"
country = "DK"
market_tz = "Europe/Copenhagen"
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "own.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_users_zone_has_the_defaults_and_stands_among_the_others(written):
    path = written(TOWN)
    town = zone("TOWN", user_file=path)
    assert (town.local_tz, town.eic, town.subdivision) == ("Europe/Copenhagen", None, None)
    assert (str(town.gate_closure), str(town.issue_time)) == ("12:00:00", "11:00:00")
    assert town.files_only
    assert town.tso_input
    assert town.weather_points == ()
    assert list(zones(user_file=path)) == sorted([*zones(), "TOWN"])
    assert "TOWN" not in zones()


def test_a_users_zone_may_set_every_key(written):
    text = """
    [OUT_WEST]
    name = "West"
    country = "AU"
    subdivision = "WA"
    market_tz = "Australia/Perth"
    local_tz = "Australia/Perth"
    eic = "10YDK-1--------W"
    gate_closure = "none"
    issue_time = 09:30:00
    tso_input = false
    files_only = false
    regions = [{ weight = 6 }, { subdivision = "SA", weight = 1 }, { country = "NZ", weight = 1 }]
    weather_points = [
        { name = "Perth", latitude = -31.95, longitude = 115.86, weight = 3 },
        { name = "Albany", latitude = -35, longitude = 117.88, weight = 1 },
    ]
    """
    west = zone("OUT_WEST", user_file=written(text))
    assert (west.subdivision, west.gate_closure, str(west.issue_time)) == ("WA", None, "09:30:00")
    assert not west.tso_input
    assert not west.files_only
    assert west.regions == (Region("AU", "WA", 0.75), Region("AU", "SA", 0.125), Region("NZ", None, 0.125))
    assert [point.weight for point in west.weather_points] == [0.75, 0.25]


def test_a_portfolio_takes_what_its_members_share_and_mixes_their_weather_by_weight(written):
    text = '[ALL]\nname = "All"\nmembers = ["TOWN", "DK_1"]\nmember_weights = [1, 3]\n' + TOWN
    text += 'weather_points = [{ name = "Town", latitude = 55, longitude = 12, weight = 7 }]\n'
    portfolio = zone("ALL", user_file=written(text))
    assert (portfolio.country, portfolio.market_tz, portfolio.gate_closure) == ("DK", "Europe/Copenhagen", None)
    assert portfolio.member_weights == (0.25, 0.75)
    assert portfolio.weather_points[0].weight == pytest.approx(0.25)
    assert sum(point.weight for point in portfolio.weather_points) == pytest.approx(1)
    assert portfolio.files_only
    assert not portfolio.tso_input


def test_a_portfolio_mixes_its_members_regions_by_weight_and_a_member_without_any_is_one_region(written):
    town = TOWN + 'regions = [{ weight = 1 }, { country = "SE", weight = 3 }]\n'
    text = '[ALL]\nname = "All"\nmembers = ["TOWN", "DK_1"]\n'
    weighted = zone("ALL", user_file=written(text + "member_weights = [1, 1]\n" + town))
    assert weighted.regions == (Region("DK", None, 0.125), Region("SE", None, 0.375), Region("DK", None, 0.5))
    assert zone("ALL", user_file=written(text + town)).regions == ()
    own = text + 'member_weights = [1, 1]\nregions = [{ country = "NO", weight = 5 }]\n' + town
    assert zone("ALL", user_file=written(own)).regions == (Region("NO", None, 1.0),)


def test_a_portfolio_without_weights_has_no_weather_of_its_own(written):
    portfolio = zone("ALL", user_file=written('[ALL]\nname = "All"\nmembers = ["DK_1", "DK_2"]\n'))
    assert (portfolio.member_weights, portfolio.weather_points) == ((), ())


def test_an_edited_file_is_read_again(written):
    assert zone("TOWN", user_file=written(TOWN)).name == "Our town"
    assert zone("TOWN", user_file=written(TOWN.replace("Our town", "Another town"))).name == "Another town"


POINTS = "weather_points"
POINT = '{ name = "T", latitude = 55, longitude = 12, weight = 1 }'
ALL = '[EVERY]\nname = "All"\n'


@pytest.mark.parametrize(
    ("text", "key", "remedy"),
    [
        (TOWN + 'markt_tz = "Europe/Oslo"', "markt_tz", "market_tz"),
        (TOWN + "price = 3", "price", "the keys are"),
        (TOWN.replace("Europe/Copenhagen", "Europe/Kopenhagen"), "market_tz", "IANA"),
        (TOWN.replace("Europe/Copenhagen", "europe/copenhagen"), "market_tz", "exact case"),
        (TOWN.replace("Europe/Copenhagen", "../Oslo"), "market_tz", "IANA"),
        (TOWN + 'local_tz = "Europe"', "local_tz", "IANA"),
        (TOWN.replace('market_tz = "Europe/Copenhagen"', ""), "market_tz", "write market_tz"),
        (TOWN.replace('"Our town"', "5"), "name", "write name"),
        (TOWN.replace('"Our town"', '" "'), "name", "write name"),
        (TOWN + 'issue_time = "25:00"', "issue_time", "HH:MM"),
        (TOWN + 'issue_time = "9:00"', "issue_time", "HH:MM"),
        (TOWN + "issue_time = 11", "issue_time", "HH:MM"),
        (TOWN + 'gate_closure = "noon"', "gate_closure", "HH:MM"),
        (TOWN + 'tso_input = "no"', "tso_input", "true or false"),
        (TOWN + 'eic = "10YDK-1--------X"', "eic", "16 characters"),
        (TOWN + 'eic = "10YDK"', "eic", "16 characters"),
        (TOWN + "member_weights = [1, 2]", "member_weights", "the keys are"),
        (TOWN + "weather_points = 5", "weather_points", "latitude"),
        (TOWN + f"weather_points = [{POINT.replace('55', '91')}]", "weather_points[1].latitude", "90"),
        (TOWN + f"weather_points = [{POINT.replace('55', 'nan')}]", "weather_points[1].latitude", "90"),
        (TOWN + f"weather_points = [{POINT.replace('55', 'true')}]", "weather_points[1].latitude", "90"),
        (TOWN + f"weather_points = [{POINT}, {POINT.replace('12', '181')}]", "weather_points[2].longitude", "180"),
        (TOWN + f"weather_points = [{POINT.replace('weight = 1', 'weight = 0')}]", f"{POINTS}[1].weight", "above 0"),
        (TOWN + f"weather_points = [{POINT.replace('weight = 1', 'weight = inf')}]", f"{POINTS}[1].weight", "above 0"),
        (TOWN + f"weather_points = [{POINT.replace(', weight = 1', '')}]", f"{POINTS}[1].weight", "above 0"),
        (TOWN + f"weather_points = [{POINT.replace('latitude', 'lat')}]", "weather_points[1].lat", "latitude"),
        (TOWN + f"weather_points = [{POINT.replace('name', 'nmae')}]", "weather_points[1].nmae", "name"),
        (TOWN + "weather_points = [{ latitude = 55, longitude = 12, weight = 1 }]", "weather_points[1].name", "name"),
        (TOWN + 'sources = "entsoe"', "sources", "write sources"),
        (TOWN + 'sources = ["Ent:soe"]', "sources", "write sources"),
        (TOWN + "sources = [1]", "sources", "write sources"),
        (TOWN + 'sources = ["entsoe", "entsoe"]', "sources", "once"),
        (TOWN + "regions = 5", "regions", "country"),
        (TOWN + "regions = [5]", "regions", "country"),
        (TOWN + 'regions = [{ subdivision = "BY" }]', "regions[1].weight", "above 0"),
        (TOWN + "regions = [{ weight = 1 }, { weight = -1 }]", "regions[2].weight", "above 0"),
        (TOWN + "regions = [{ weight = 1, subdivision = 3 }]", "regions[1].subdivision", "write subdivision"),
        (TOWN + 'regions = [{ weight = 1, country = " " }]', "regions[1].country", "write country"),
        (TOWN + 'regions = [{ weight = 1, regoin = "BY" }]', "regions[1].regoin", "keys are"),
        (TOWN + 'regions = [{ weight = 1 }, { country = "DK", weight = 1 }]', "regions", "once"),
        (ALL + 'members = ["dk1"]', "members", "DK_1"),
        (ALL + 'members = ["qqqqqqqq"]', "members", "gridcast zones"),
        (ALL + 'members = ["EVERY"]', "members", "no portfolios"),
        (ALL + 'members = ["DK", "NO_1"]', "members", "DK_1, DK_2"),
        (ALL + 'members = ["NO_1", "NO_1"]', "members", "once"),
        (ALL + "members = []", "members", "write members"),
        (ALL + 'members = "DK_1"', "members", "write members"),
        (ALL + 'members = ["DK_1", "NO_1"]', "country", "write country"),
        (ALL + 'members = ["NO_1", "NO_2"]\nmember_weights = [1]', "member_weights", "one weight a member"),
        (ALL + 'members = ["NO_1", "NO_2"]\nmember_weights = [1, -1]', "member_weights", "above 0"),
        (ALL + 'members = ["AT", "CH"]\ncountry = "AT"\nmarket_tz = "CET"\nlocal_tz = "CET"', "issue_time", "11:00"),
        (TOWN.replace("TOWN", "DK_1"), "code", "another code"),
        (TOWN.replace("TOWN", "dk1"), "code", "another code"),
        (TOWN + TOWN.replace("TOWN", "Town"), "code", "another code"),
        (TOWN.replace("TOWN", '"A B"'), "code", "letters"),
        (TOWN.replace("TOWN", '"../etc"'), "code", "letters"),
    ],
)
def test_a_wrong_key_of_a_users_zone_is_named_with_its_file_zone_and_remedy(written, text, key, remedy):
    path = written(text)
    with pytest.raises(ConfigError) as caught:
        zones(user_file=path)
    error = caught.value
    assert (error.file, error.key) == (str(path), key)
    assert remedy in error.remedy
    assert all(part in str(error) for part in (str(path), str(error.zone), key))


@pytest.mark.parametrize("text", ["name = 1", "[TOWN\n", "\x00", '[TOWN]\nname = "a"\nname = "b"'])
def test_a_file_that_is_no_table_of_zones_is_named(written, text):
    path = written(text)
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        zones(user_file=path)


def test_a_file_that_is_missing_a_folder_or_not_text_is_named(tmp_path):
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "absent.toml", tmp_path, binary):
        with pytest.raises(ConfigError, match=re.escape(str(path))):
            zones(user_file=path)


def test_an_unknown_zone_may_resemble_one_of_the_users(written):
    with pytest.raises(UnknownZone) as caught:
        zone("twon", user_file=written(TOWN))
    assert caught.value.nearest[0] == "TOWN"
