"""The classic network without torch: what it answers and what it refuses, and that it is what torch trained."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.contracts import LOAD, Floats
from gridcast.errors import ArtifactMismatch, DataError, ImplausibleValue, MissingExtra
from gridcast.market.days import instant
from gridcast.market.zones import zone
from gridcast.models import classic_onnx, onnx_graph
from gridcast.models.classic_onnx import MAX_MODEL, NEAR, Classic
from gridcast.models.conv1d_classic import FEATURES, Conv1dClassic, hourly_windows, latest
from gridcast.sources import demo, tabular
from onnx_edits import GRAPH, NODE, WEIGHT, field, fields, inside, joined, resealed

pytest.importorskip("onnxruntime", reason="of the extra api")

ROOT = Path(__file__).resolve().parents[2]
DK_1 = zone("DK_1")
FETCHED = datetime(2026, 1, 1, tzinfo=UTC)
MODEL, CARD = (files("gridcast.models").joinpath(name).read_bytes() for name in ("classic.onnx", "classic.json"))
WEIGHTS = onnx_graph.read(MODEL, where="classic.onnx").weights
deep = pytest.mark.deep


@pytest.fixture(scope="module")
def classic() -> Classic:
    return Classic.load()


@pytest.fixture(scope="module")
def year() -> tuple[Floats, Floats]:
    """Windows of a year that the network never saw, and what followed them."""
    rows = demo.observations(DK_1, start=date(2018, 1, 1), end=date(2019, 1, 1), fetched_at=FETCHED)
    load = rows.filter(pl.col("variable") == LOAD).sort("valid_time")
    start = instant(load["valid_time"][0])
    raw, after, _ = hourly_windows(load["value"].to_numpy(), start=start, zone=DK_1, stride=17)
    return raw, after


def random_windows(count: int, *, card_of: Classic, seed: int = 0) -> Floats:
    """Anything the columns allow, in no order at all."""
    low, high = (np.array([getattr(each, edge) for each in card_of.features]) for edge in ("low", "high"))
    windows = np.random.default_rng(seed).uniform(low, high, (count, 96, len(FEATURES)))
    windows[:, :, -1] = np.rint(windows[:, :, -1])
    return windows


def by_hand(windows: Floats) -> Floats:
    """The network in NumPy and double precision."""
    held = {name: values.astype(float) for name, values in WEIGHTS.items()}
    x = ((windows - held["centre"]) / held["spread"]).transpose(0, 2, 1)

    def convolved(x: Floats, layer: int) -> Floats:
        weight, bias = (held[f"network.body.{layer}.{part}"] for part in ("weight", "bias"))
        edge = weight.shape[2] // 2
        padded = np.pad(x, ((0, 0), (0, 0), (edge, edge)))
        views = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2], axis=2)
        return np.einsum("bctk,ock->bot", views, weight) + bias[:, None]

    x = convolved(convolved(x, 0), 2)
    x = convolved(x.reshape(*x.shape[:2], 48, 2).max(axis=3), 5).reshape(len(x), -1)
    x = x @ held["network.body.7.weight"].T + held["network.body.7.bias"]
    return np.maximum(x * held["load_spread"] + held["load_centre"], held["least"])


# --- what it answers -------------------------------------------------------------------------------------------------


def test_the_package_carries_a_network_under_300_kb_with_a_small_card(classic):
    assert len(MODEL) < 300_000
    assert len(CARD) < 20_000
    assert classic.version == f"conv1d_classic-{classic.card.sha256[:8]}"
    assert classic.card.data.startswith("demo:synthetic")
    for trace in ("/home/", "site-packages", ".py", "stack_trace"):
        assert trace.encode() not in MODEL + CARD


def test_its_answer_to_the_canary_is_what_torch_said(classic):
    expected = json.loads(CARD)["canary"]["expected"]

    np.testing.assert_allclose(classic.predict(classic.example), expected, rtol=NEAR)
    classic.check()


def test_it_computes_what_numpy_computes_from_its_weights(classic, year):
    windows = np.concatenate([year[0][:100], random_windows(100, card_of=classic)])

    np.testing.assert_allclose(classic.predict_batch(windows), by_hand(windows), rtol=NEAR)


def test_it_beats_the_day_before_on_a_year_that_it_never_saw(classic, year):
    windows, after = year
    error = np.abs(classic.predict_batch(windows) - after).mean()
    day_before = np.abs(windows[:, -24:, 0] - after).mean()

    assert len(windows) > 500
    assert error < 100 < day_before
    assert error == pytest.approx(classic.card.scores.mae_mw, rel=0.1)


def test_an_answer_alone_is_to_the_bit_the_one_in_a_batch(classic, year):
    windows = year[0][:9]
    together = classic.predict_batch(windows)

    assert together.shape == (9, 24)
    assert all(np.array_equal(classic.predict(window), row) for window, row in zip(windows, together, strict=True))
    assert classic.predict_batch(np.empty((0, 96, 12))).shape == (0, 24)


def test_lists_and_arrays_are_read_alike(classic):
    as_lists = [list(row) for row in classic.example.tolist()]

    assert np.array_equal(classic.predict(as_lists), classic.predict(classic.example))


def test_many_threads_get_the_same_bits(classic, year):
    windows = year[0][:8]
    alone = [classic.predict(window) for window in windows]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(classic.predict, list(windows) * 25))

    assert all(np.array_equal(answer, alone[n % 8]) for n, answer in enumerate(answers))


def test_no_answer_is_below_the_least_load(classic):
    flat_low = np.tile([670.0, *[0.0, 1.0] * 5, 1.0], (96, 1))
    flat_high = np.where(np.arange(12) == 0, 7000.0, flat_low)
    answers = classic.predict_batch(np.stack([flat_low, flat_high, *random_windows(50, card_of=classic)]))

    assert answers.min() >= classic.card.target.least * (1 - 1e-6)
    assert np.isfinite(answers).all()


def test_the_module_says_how_to_fill_every_column(classic):
    assert tuple(each.name for each in classic.features) == FEATURES
    assert [each.unit for each in classic.features] == ["MW", *["1"] * 11]
    assert all(each.meaning for each in classic.features)
    for name in ("load", "hour", "day", "weekday", "week", "month", "holiday"):
        assert name in (classic_onnx.__doc__ or "")


def test_it_loads_and_answers_without_torch_and_without_onnx():
    probe = (
        "import sys; from gridcast.models.classic_onnx import Classic; c = Classic.load(); c.predict(c.example); "
        "print(sorted({'torch', 'onnx', 'lightning', 'pandas'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", probe], env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=True
    )
    assert (answer.stdout.strip(), answer.stderr) == ("[]", "")


def test_without_onnx_runtime_it_says_which_extra_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(MissingExtra, match=r"gridcast\[api\]") as missing:
        Classic.load()
    assert missing.value.extra == "api"


# --- windows that it refuses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "column", "value", "says"),
    [
        (95, 0, 2_300_000.0, r"features\[95\]\[0\] \(load\) is 2300000, and 670 to 7000 MW is possible.*kW divided by"),
        (0, 0, 2.3, r"features\[0\]\[0\] \(load\) is 2\.3, .*GW times 1,000"),
        (3, 0, -2300.0, r"features\[3\]\[0\] \(load\) is -2300"),
        (3, 0, math.nan, r"is nan, .*no missing value"),
        (3, 0, math.inf, r"is inf, "),
        (7, 1, 1.2, r"features\[7\]\[1\] \(sin_hour\) is 1\.2, and -1 to 1 is possible: give the sine of 2 pi h/24"),
        (7, 10, -math.inf, r"\(cos_month\) is -inf"),
        (8, 11, 0.5, r"features\[8\]\[11\] \(holiday\) is 0\.5, and 0 or 1 is possible"),
        (8, 11, 2.0, r"\(holiday\) is 2"),
    ],
)
def test_a_value_that_cannot_be_what_its_column_says_is_refused_with_its_place(classic, row, column, value, says):
    window = classic.example
    window[row, column] = value

    with pytest.raises(ImplausibleValue, match=says) as refused:
        classic.predict(window)
    feature = classic.features[column]
    facts = refused.value
    assert (facts.row, facts.column, facts.name, facts.low, facts.high) == (
        row,
        column,
        feature.name,
        feature.low,
        feature.high,
    )
    assert json.dumps(facts.facts, allow_nan=False)
    with pytest.raises(ImplausibleValue, match=rf"features\[1\]\[{row}\]\[{column}\]"):
        classic.predict_batch(np.stack([classic.example, window]))


def test_how_many_values_are_wrong_is_said(classic):
    in_gigawatts = classic.example / np.where(np.arange(12) == 0, 1000, 1)

    with pytest.raises(ImplausibleValue, match="96 values are wrong"):
        classic.predict(in_gigawatts)


@pytest.mark.parametrize(
    ("features", "received"),
    [
        (np.zeros((96, 11)), "96 x 11"),
        (np.zeros((95, 12)), "95 x 12"),
        (np.zeros((12, 96)), "12 x 96"),
        (np.zeros((1, 96, 12)), "1 x 96 x 12"),
        ([], "0"),
        (2300.0, "one number"),
        ([[0.0] * 12] * 95 + [[0.0] * 11], "rows of different lengths"),
        ([["1.0"] * 12] * 96, "no numbers"),
        ([[None] * 12] * 96, "no numbers"),
        ([[True] * 12] * 96, "no numbers"),
        ([[10**400] * 12] * 96, "no numbers"),
        ({"features": 1}, "no numbers"),
        ("features", "no numbers"),
        (None, "no numbers"),
    ],
)
def test_another_shape_is_refused_and_says_what_was_expected_and_received(classic, features, received):
    with pytest.raises(DataError, match="96 x 12") as refused:
        classic.predict(features)
    assert refused.value.expected == "96 x 12"
    assert received in refused.value.received


@given(row=st.integers(0, 95), column=st.integers(0, 11), value=st.floats())
def test_one_cell_of_any_value_gives_24_finite_megawatts_or_its_own_place(classic, row, column, value):
    window, feature = classic.example, classic.features[column]
    window[row, column] = value
    if feature.low <= value <= feature.high and not (feature.whole and value % 1):
        answer = classic.predict(window)
        assert answer.shape == (24,)
        assert np.isfinite(answer).all()
    elif not feature.low * 1.001 <= value <= feature.high * 1.001:  # sines may be rounded up
        with pytest.raises(ImplausibleValue) as refused:
            classic.predict(window)
        assert (refused.value.row, refused.value.column) == (row, column)


# --- files that it refuses -------------------------------------------------------------------------------------------


@pytest.fixture
def no_native_code(monkeypatch) -> None:
    """ONNX Runtime must not see the file."""
    monkeypatch.setattr(classic_onnx, "_session", lambda _: pytest.fail("the file reached native code"))


@given(at=st.integers(0, len(MODEL) - 1), flip=st.integers(1, 255))
def test_a_flipped_bit_is_seen_by_the_hash(at, flip):
    with pytest.raises(ArtifactMismatch, match="SHA-256"):
        Classic.of(MODEL[:at] + bytes([MODEL[at] ^ flip]) + MODEL[at + 1 :], CARD)


def graph_edit(edit):
    return inside(MODEL, GRAPH, edit)


def renamed(graph: bytes, old: bytes, new: bytes) -> bytes:
    """Every operator that reads or writes a name does so to another."""

    def edited(node: bytes) -> bytes:
        return joined((number, new if number in (1, 2) and value == old else value) for number, value in fields(node))

    return joined((number, edited(value) if number == NODE else value) for number, value in fields(graph))


def with_weight(name: str, values) -> bytes:
    """The file with other numbers in a tensor."""
    raw = np.ascontiguousarray(values).tobytes()
    names = [dict(fields(raw))[8] for number, raw in fields(dict(fields(MODEL))[GRAPH]) if number == WEIGHT]
    which = names.index(name.encode())
    return graph_edit(lambda graph: inside(graph, WEIGHT, lambda one: inside(one, 9, lambda _: raw), which=which))


CENTRE = WEIGHTS["centre"]
NAN = np.where(np.arange(64) == 3, np.float32("nan"), WEIGHTS["network.body.0.bias"])
CHANGED = {
    "functions": (MODEL + field(25, b""), "functions"),
    "external data": (
        graph_edit(lambda graph: inside(graph, WEIGHT, lambda one: one + field(13, field(1, b"location")))),
        "external_data",
    ),
    "another operator": (MODEL.replace(b"MaxPool", b"AvgPool"), "'AvgPool'"),
    "a loop": (MODEL.replace(b"\x04Gemm", b"\x04Loop"), "'Loop'"),
    "another attribute": (
        graph_edit(
            lambda graph: inside(
                graph,
                NODE,
                lambda node: inside(node, 5, lambda _: field(1, b"perm") + field(8, 0) + field(20, 7)),
                which=2,
            )
        ),
        "Transpose",
    ),
    "one operator more": (
        graph_edit(lambda graph: graph + field(NODE, field(1, b"predictions") + field(2, b"x") + field(4, b"Relu"))),
        "13 operators",
    ),
    "another output": (
        graph_edit(lambda graph: graph.replace(b"predictions", b"prediction_")),
        "does not take any number of features",
    ),
    "a batch of one size": (
        MODEL.replace(b"\x12\x05batch", b"\x08\x81\x80\x80\x80\x80\x00"),
        "does not take any number",
    ),
    "a name that means two things": (graph_edit(lambda graph: renamed(graph, b"sub", b"centre")), "two things"),
    "a tensor that is read twice": (graph_edit(lambda graph: renamed(graph, b"spread", b"centre")), "nobody reads"),
    "a tensor nobody reads": (
        graph_edit(lambda graph: graph + field(WEIGHT, field(2, 1) + field(8, b"x") + field(9, b"\0\0\0\0"))),
        "nobody reads",
    ),
    "a newer format": (field(1, 99) + MODEL[2:], "format 99"),
    "a weight that is not a number": (with_weight("network.body.0.bias", NAN), "not finite"),
    "another scaling": (with_weight("centre", CENTRE + np.float32(1)), "scales in another way"),
    "another shape to flatten to": (with_weight("val_20", np.array([720, -1])), "flattens"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_changed_graph_with_its_hash_made_to_fit_is_refused_before_native_code_sees_it(what, no_native_code):
    model, says = CHANGED[what]

    assert model != MODEL
    with pytest.raises(ArtifactMismatch, match=says) as refused:
        Classic.of(*resealed(model, CARD))
    assert "classic.onnx" in str(refused.value)


def test_weights_of_another_network_are_refused_by_the_canary():
    weight = WEIGHTS["network.body.7.weight"]

    with pytest.raises(ArtifactMismatch, match="canary"):
        Classic.of(*resealed(with_weight("network.body.7.weight", weight * np.float32(1.001)), CARD))


@given(at=st.integers(0, len(MODEL) - 1), flip=st.integers(1, 255))
def test_a_flipped_bit_with_the_hash_made_to_fit_is_refused_or_does_not_matter(at, flip):
    model = MODEL[:at] + bytes([MODEL[at] ^ flip]) + MODEL[at + 1 :]
    try:
        loaded = Classic.of(*resealed(model, CARD))
    except ArtifactMismatch:
        return
    np.testing.assert_allclose(loaded.predict(loaded.example), loaded.card.canary.expected, rtol=NEAR)


def test_a_file_that_is_too_large_is_refused(no_native_code):
    with pytest.raises(ArtifactMismatch, match="are allowed"):
        Classic.of(*resealed(MODEL + bytes(MAX_MODEL), CARD))


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda facts: facts.pop("canary"), "canary"),
        (lambda facts: facts.update(extra=1), "extra"),
        (lambda facts: facts.update(sha256=7), "sha256"),
        (lambda facts: facts.update(version="conv1d_classic-00000000"), "version"),
        (lambda facts: facts["features"].reverse(), "another window"),
        (lambda facts: facts["features"].pop(), "another window"),
        (lambda facts: facts["features"][0].update(low=math.nan), "low"),
        (lambda facts: facts["canary"]["features"].pop(), "canary"),
        (lambda facts: facts["canary"]["expected"].pop(), "canary"),
        (lambda facts: facts["canary"]["features"][0].__setitem__(0, 2000.0), "window was changed"),
        (lambda facts: facts["canary"]["expected"].__setitem__(0, 2000.0), "canary's window"),
        (lambda facts: facts["target"].update(centre=0.0), "scales in another way"),
        (lambda facts: facts["features"][0].update(spread=1.0), "scales in another way"),
    ],
)
def test_a_changed_card_is_refused(edit, says):
    facts = json.loads(CARD)
    edit(facts)

    with pytest.raises(ArtifactMismatch, match=says):
        Classic.of(MODEL, json.dumps(facts).encode())


@pytest.mark.parametrize("card", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 50_000, b" " * 60_001])
def test_what_is_no_card_is_refused(card):
    with pytest.raises(ArtifactMismatch, match="classic\\.json"):
        Classic.of(MODEL, card)


# --- how it is made --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(year):
    """A network of another training: torch's own, as a file, and loaded from it."""
    from gridcast.models import exporting
    from gridcast.models.classic_card import Scores
    from gridcast.pipeline.exporting import to_json

    raw, after = year
    network = Conv1dClassic(epochs=1).learn(raw, after, checked=latest(len(raw)), seed=3)
    model = exporting.to_onnx(network)
    card = exporting.card(
        network,
        model,
        zone=DK_1,
        data="test",
        period=(date(2018, 1, 1), date(2018, 12, 31)),
        load_range=(1400.0, 3600.0),
        seed=3,
        scores=Scores(
            first_day=date(2018, 1, 1),
            last_day=date(2018, 12, 31),
            windows=1,
            mae_mw=1.0,
            mape_pct=1.0,
            naive_mae_mw=1.0,
        ),
        canary=raw[0],
    )
    return network, model, Classic.of(model, to_json(card))


@deep
def test_the_file_answers_what_torch_answers_on_random_and_on_made_windows(trained, year):
    network, _, loaded = trained
    windows = np.concatenate([random_windows(300, card_of=loaded, seed=1), year[0][:200]])

    worst = np.max(np.abs(loaded.predict_batch(windows) / network.megawatts(windows) - 1))
    print(f"worst relative difference {worst:.1e}")
    assert worst < NEAR


@deep
def test_the_file_answers_what_torch_answers_on_real_load(trained, shared_data):
    network, _, loaded = trained
    rows = tabular.read(shared_data / "DK_1_load_2018.csv.gz", zone=DK_1, fetched_at=FETCHED).filter(
        pl.col("variable") == LOAD
    )
    load = rows.sort("valid_time").upsample("valid_time", every="1h")["value"].fill_null(strategy="forward")
    raw, _, _ = hourly_windows(load.to_numpy(), start=instant(rows["valid_time"].min()), zone=DK_1, stride=29)
    possible = (raw[:, :, 0] > 700).all(axis=1) & (raw[:, :, 0] < 7000).all(axis=1)

    assert possible.sum() > 200
    np.testing.assert_allclose(loaded.predict_batch(raw[possible]), network.megawatts(raw[possible]), rtol=NEAR)


@deep
def test_the_same_weights_give_the_same_bytes_and_name_no_machine(trained):
    from gridcast.models import exporting

    network, model, _ = trained

    assert exporting.to_onnx(network) == model
    assert len(model) < 300_000
    for trace in (str(ROOT), sys.prefix, str(Path.home()), ".py", "stack_trace"):
        assert trace.encode() not in model


@deep
@pytest.mark.long
def test_the_command_makes_the_network_of_the_package_anew(tmp_path):
    command = [sys.executable, "-m", "gridcast.pipeline.exporting", "--out", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    made = Classic.of(*((tmp_path / name).read_bytes() for name in ("classic.onnx", "classic.json")))
    kept = Classic.load()

    assert answer.stdout.startswith(made.version)
    assert made.card.scores.mae_mw == pytest.approx(kept.card.scores.mae_mw, rel=0.05)
    np.testing.assert_allclose(made.predict(kept.example), kept.predict(kept.example), rtol=0.05)


@pytest.mark.long
def test_a_wheel_carries_the_network(tmp_path):
    pytest.importorskip("uv", reason="of the group dev")
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--out-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, capture_output=True, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        assert wheel.read("gridcast/models/classic.onnx") == MODEL
        assert wheel.read("gridcast/models/classic.json") == CARD
