"""What a table holds, as one short text: the same for the same rows in whatever order, database or library version."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gridcast.errors import DataError

_NONE = np.iinfo(np.int64).min


def digest(frame: pl.DataFrame) -> str:
    """SHA-256 of the rows, whatever their order.

    Each column is hashed as little-endian 64-bit numbers: instants and durations as microseconds, texts as places in
    the sorted list of the texts, which is hashed too. Minus zero is zero, as SQLite has it; a missing value counts.

    Args:
        frame: of texts, bytes, whole numbers, floats, instants and durations.

    Raises:
        DataError: a column of another type.

    >>> one = pl.DataFrame({"zone": ["A", "B"], "value": [1.0, 2.0]})
    >>> digest(one) == digest(one.reverse())
    True
    >>> digest(one) == digest(one.with_columns(value=pl.col("value") + 1))
    False
    """
    found = hashlib.sha256()
    columns: dict[str, pl.Series] = {}
    for name in frame.columns:
        columns[name], texts = _numbers(frame[name])
        for word in (name, *texts):
            found.update(struct.pack("<q", len(word.encode())) + word.encode())
        found.update(struct.pack("<qq", len(texts), frame.height))
    plain = pl.DataFrame(columns)
    # A column of one value would cost time and order nothing.
    telling = [column.name for column in plain if column.dtype.is_float() or column.min() != column.max()]
    for column in plain.sort(telling) if telling else plain:
        values: NDArray[np.generic] = column.to_numpy()
        found.update(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False)).data)
    return found.hexdigest()


def _numbers(column: pl.Series) -> tuple[pl.Series, list[str]]:
    """The column as 64-bit numbers without nulls, and the texts they stand for."""
    if column.dtype == pl.Binary:
        column = column.bin.encode("hex")
    kind = column.dtype
    if kind == pl.String:
        texts = column.drop_nulls().unique().sort()
        places = column.cast(pl.Enum(texts)).to_physical().cast(pl.Int64)
        return places.fill_null(_NONE), texts.to_list()
    if kind == pl.Float64:
        values: NDArray[np.float64] = column.fill_null(np.nan).to_numpy() + 0.0
        values[np.isnan(values)] = np.nan  # of all the bit patterns one
        return pl.Series(values), []
    if kind.is_integer():
        return column.cast(pl.Int64).fill_null(_NONE), []
    if isinstance(kind, pl.Datetime | pl.Duration):
        return column.dt.cast_time_unit("us").to_physical().fill_null(_NONE), []
    raise DataError(f"{column.name} is {kind}", remedy="give texts, numbers and times", where="digest")
