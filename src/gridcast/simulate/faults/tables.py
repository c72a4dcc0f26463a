"""Files of the File Library that are wrong: the archive, the table in it, or a row of that."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from gridcast.simulate.exchange import Ask, Reply
from gridcast.simulate.faults.catalogue import Spoilt, add, described

Edit = Callable[[list[str]], list[str]]


def _archive(name: str, sentence: str, change: Callable[[bytes], bytes]) -> None:
    def spoil(reply: Reply, _ask: Ask) -> Spoilt:
        return replace(reply, body=change(reply.body)) if reply.body.startswith(b"PK") else None

    add(name, sentence, layer="content", providers=("entsoe",), spoil=spoil)


def _table(edit: Edit) -> Edit:
    """A fault of the table: the function gets its lines, the first of which names the columns."""
    name, sentence = described(edit)

    def change(body: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            (file,) = archive.namelist()
            lines = archive.read(file).decode("utf-8-sig").splitlines()
        return _packed({file: "\n".join(edit(lines)) + "\n"})

    _archive(name, sentence, change)
    return edit


def _packed(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(_deflated(name), text.encode("utf-8-sig"))
    return packed.getvalue()


def _deflated(name: str) -> zipfile.ZipInfo:
    """An entry without the time of day, so that the same text packs to the same bytes."""
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


@cache
def _bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive, archive.open(_deflated("load.csv"), "w") as file:
        for _ in range(100):
            file.write(b"0" * (1 << 20))
    return packed.getvalue()


def _cell(lines: list[str], column: int, change: Callable[[str], str]) -> list[str]:
    """The lines with a cell of the middle one changed."""
    middle = max(1, len(lines) // 2)
    cells = lines[middle].split("\t")
    cells[column] = change(cells[column])
    return [*lines[:middle], "\t".join(cells), *lines[middle + 1 :]]


def _damaged(body: bytes) -> bytes:
    return body[: len(body) // 2] + b"\0\0\0\0" + body[len(body) // 2 + 4 :]


_archive("zip-cut", "The archive is cut in the middle.", lambda body: body[: len(body) // 2])
_archive("zip-damaged", "Some bytes in the archive are others.", _damaged)
_archive("zip-empty", "The archive has no file.", lambda _: _packed({}))
_archive("zip-two-files", "The archive has two files.", lambda _: _packed({"a.csv": "a\n", "b.csv": "b\n"}))
_archive("zip-bomb", "The file in the archive unpacks to 100 MiB.", lambda _: _bomb())
_archive("zip-path", "The file in the archive wants to lie elsewhere.", lambda _: _packed({"../../load.csv": "a\n"}))


@_table
def table_column_renamed(lines: list[str]) -> list[str]:
    """The column of loads has another name."""
    return [lines[0].replace("TotalLoad[MW]", "Load[MW]"), *lines[1:]]


@_table
def table_in_kilowatts(lines: list[str]) -> list[str]:
    """The column of loads is in kW, by its name."""
    return [lines[0].replace("TotalLoad[MW]", "TotalLoad[kW]"), *lines[1:]]


@_table
def table_with_commas(lines: list[str]) -> list[str]:
    """The cells are separated by commas."""
    return [line.replace("\t", ",") for line in lines]


@_table
def table_row_cut(lines: list[str]) -> list[str]:
    """The last row ends in the middle."""
    return [*lines[:-1], lines[-1][: len(lines[-1]) // 2]]


@_table
def table_row_twice(lines: list[str]) -> list[str]:
    """Every row stands twice, the second time with another load."""
    return [lines[0], *lines[1:], *(line.replace(".00\t", ".50\t") for line in lines[1:])]


@_table
def table_decimal_comma(lines: list[str]) -> list[str]:
    """A load has a decimal comma."""
    return _cell(lines, 6, lambda load: load.replace(".", ","))


@_table
def table_negative_load(lines: list[str]) -> list[str]:
    """A load is negative."""
    return _cell(lines, 6, lambda load: f"-{load}")


@_table
def table_garbled_time(lines: list[str]) -> list[str]:
    """A time is no time."""
    return _cell(lines, 0, lambda _: "31/12/2024 24:00")


@_table
def table_empty(lines: list[str]) -> list[str]:
    """The table has columns and no rows."""
    return lines[:1]
