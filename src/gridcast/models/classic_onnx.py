"""The classic window network without torch: 96 hours of 12 raw features in, the next 24 hours in MW out.

The file ``classic.onnx`` that the package carries is `conv1d_classic` trained on the demo's DK_1 (synthetic load); its
scalers are inside, so raw features go in and megawatts come out. Needs the extra ``api`` (ONNX Runtime).

How to fill a window: one row an hour, 96 hours without a gap, oldest first. The forecast's first hour is the one that
follows the last row. Columns, with clock and calendar of the zone (Europe/Copenhagen) at the START of the hour:

====  =======================  =====  ========================================================================
No.   name                     unit   value
====  =======================  =====  ========================================================================
0     load                     MW     mean load of the hour
1, 2  sin_hour, cos_hour       1      sine and cosine of 2 pi h/24, h the hour of the day from 0 to 23
3, 4  sin_day, cos_day         1      of 2 pi d/31, d the day of the month from 1
5, 6  sin_weekday, cos_...     1      of 2 pi w/7, w the weekday, Monday is 0
7, 8  sin_week, cos_week       1      of 2 pi k/53, k the week of ISO 8601 from 1
9, 10 sin_month, cos_month     1      of 2 pi m/12, m the month from 1
11    holiday                  1      1 on public holidays and on Sundays, else 0
====  =======================  =====  ========================================================================

`gridcast.models.conv1d_classic.clock_features` computes columns 1 to 11.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridcast.contracts import Floats
from gridcast.errors import ArtifactMismatch, DataError, ImplausibleValue, MissingExtra
from gridcast.models import classic_card, classic_chain
from gridcast.models.classic_card import CARD_FILE, MODEL_FILE, Card, Feature, refused
from gridcast.models.classic_chain import INPUT, OUTPUT
from gridcast.models.conv1d_classic import FEATURES, HOURS_IN, HOURS_OUT

MAX_MODEL = 300_000
"""Bytes that the file may have."""
NEAR = 1e-4
"""How far, relatively, an answer may be from what torch said: processors round differently."""
_SLACK = 1e-6
"""Share of a limit that a value may be beyond it: sines are rounded."""


@dataclass(frozen=True)
class Classic:
    """The network, loaded and verified; as many threads as like may ask it at once. `load` or `of` makes one."""

    card: Card
    session: Any

    @classmethod
    def load(cls) -> Classic:
        """The network that the package carries; see `of` for the errors."""
        folder = files("gridcast.models")
        try:
            return cls.of(folder.joinpath(MODEL_FILE).read_bytes(), folder.joinpath(CARD_FILE).read_bytes())
        except OSError as error:
            raise ArtifactMismatch(
                f"the package lacks its classic network ({error.strerror})",
                remedy="install gridcast again",
                path=MODEL_FILE,
            ) from error

    @classmethod
    def of(cls, model: bytes, card: bytes) -> Classic:
        """The network in these bytes, once every check held: hash, structure, scaling, canary.

        Args:
            model: an ONNX file.
            card: the JSON beside it.

        Raises:
            ArtifactMismatch: it is not the network that the card describes; fact ``path`` says which file.
            MissingExtra: ONNX Runtime is not installed.
        """
        known = classic_card.read(card)
        if len(model) > MAX_MODEL:
            raise refused(f"has {len(model)} bytes, and {MAX_MODEL} are allowed")
        found = hashlib.sha256(model).hexdigest()
        if found != known.sha256:
            raise refused(f"has the SHA-256 {found}, and its card says {known.sha256}")
        classic_chain.check(model, known)
        loaded = cls(known, _session(model))
        loaded.check()
        return loaded

    @property
    def version(self) -> str:
        """What an answer names as its model: the recipe, and how the file's hash begins."""
        return self.card.version

    @property
    def features(self) -> tuple[Feature, ...]:
        """The 12 columns in order."""
        return self.card.features

    @property
    def example(self) -> Floats:
        """A real window [96, 12]: the canary's."""
        return np.array(self.card.canary.features)

    def predict(self, features: ArrayLike) -> Floats:
        """The 24 hours that follow a window.

        Args:
            features: raw values [96, 12], see the module.

        Returns:
            Load in MW [24].

        Raises:
            DataError: another shape, or no numbers; facts ``expected``, ``received``.
            ImplausibleValue: a value cannot be what its column says; facts ``row``, ``column``, ``name``, ``value``,
                ``low``, ``high``.
        """
        window = self._numbers(features, shape=(HOURS_IN, len(FEATURES)))
        self._require_possible(window[None])
        return self._answer(window)

    def predict_batch(self, features: ArrayLike) -> Floats:
        """As `predict` for many windows, [B, 96, 12] to [B, 24]; each answer is, to the bit, what it is alone."""
        windows = self._numbers(features, shape=(None, HOURS_IN, len(FEATURES)))
        self._require_possible(windows)
        return np.array([self._answer(window) for window in windows]).reshape(len(windows), HOURS_OUT)

    def check(self) -> None:
        """Ask it the canary's question.

        Raises:
            ArtifactMismatch: it does not answer within `NEAR` of what torch did.
        """
        expected = np.array(self.card.canary.expected)
        off = float(np.max(np.abs(self.predict(self.example) / expected - 1)))
        if not off <= NEAR:
            raise refused(f"answers the canary's window {off:.2g} of it away from what its card expects")

    def _answer(self, window: Floats) -> Floats:
        (answer,) = self.session.run([OUTPUT], {INPUT: window[None].astype(np.float32)})
        if not np.isfinite(answer).all():
            raise refused("gave an answer that is not finite")
        return np.asarray(answer[0], np.float64)

    def _numbers(self, features: ArrayLike, *, shape: tuple[int | None, ...]) -> Floats:
        """The features as numbers of that shape, None being any length."""
        try:
            given = np.asarray(features)
        except ValueError:  # rows of different lengths
            given = np.empty(0, np.object_)
        wanted = " x ".join("any" if length is None else str(length) for length in shape)
        if given.dtype.kind not in "fiu":
            raise DataError(
                "features are not rows of ordinary numbers, all of one length",
                remedy=f"give {wanted} finite numbers",
                where="features",
                expected=wanted,
                received="no numbers, or rows of different lengths",
            )
        fits = len(shape) == given.ndim and all(
            length in (None, found) for length, found in zip(shape, given.shape, strict=True)
        )
        if not fits:
            received = " x ".join(map(str, given.shape)) or "one number"
            raise DataError(
                f"features have the shape {received}",
                remedy=f"give {wanted}: one row an hour, oldest first, {len(FEATURES)} columns",
                where="features",
                expected=wanted,
                received=received,
            )
        return given.astype(np.float64)

    @cached_property
    def _limits(self) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """The lowest and the highest value of each column, and whether it is whole [12]."""
        low, high, whole = (np.array([getattr(each, of) for each in self.features]) for of in ("low", "high", "whole"))
        slack = _SLACK * np.maximum(np.abs(low), np.abs(high))
        return low - slack, high + slack, whole

    def _require_possible(self, windows: Floats) -> None:
        """Refuse values that cannot be what their column says: windows [B, 96, 12]."""
        low, high, whole = self._limits
        wrong = ~((windows >= low) & (windows <= high)) | (whole & (windows != np.rint(windows)))
        if not wrong.any():
            return
        number, row, column = (int(place) for place in np.argwhere(wrong)[0])
        feature, value = self.features[column], float(windows[number, row, column])
        place = f"features[{row}][{column}]" if len(windows) == 1 else f"features[{number}][{row}][{column}]"
        allowed = f"{feature.low:g} {'or' if feature.whole else 'to'} {feature.high:g}"
        unit = "" if feature.unit == "1" else f" {feature.unit}"
        raise ImplausibleValue(
            f"{place} ({feature.name}) is {value:.10g}, and {allowed}{unit} is possible"
            + (f"; {int(wrong.sum())} values are wrong" if wrong.sum() > 1 else ""),
            remedy=_remedy(feature, value),
            where="features",
            window=number,
            row=row,
            column=column,
            name=feature.name,
            value=value if np.isfinite(value) else str(value),
            low=feature.low,
            high=feature.high,
        )


def _remedy(feature: Feature, value: float) -> str:
    if feature.unit == "MW" and value > feature.high:
        return "give the load in MW (kW divided by 1,000), unscaled"
    if feature.unit == "MW":
        return "give the load in MW (GW times 1,000), unscaled, and no missing value"
    return f"give {feature.meaning}, unscaled"


def _session(model: bytes) -> Any:  # noqa: ANN401  # ONNX Runtime has no types
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the classic network needs {error.name}", remedy='pip install "gridcast[api]"', extra="api"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it would keep what one batch once needed
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common class
        raise refused(f"is refused by ONNX Runtime ({type(error).__name__})") from error
