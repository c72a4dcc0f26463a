"""What a database says about its own health, and what no sound row may be."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from gridcast.contracts import PUBLISHED_AT_BASES
from gridcast.errors import StoreError
from gridcast.store.connection import Database
from gridcast.store.tables import ISSUED, LOOKED, OBSERVATION, SCHEMA, SEAL, SET_ASIDE
from gridcast.store.vintages import SLACK

LARGEST = 1.7976931348623157e308
"""The largest double: beyond it is infinite, and PostgreSQL sorts what is not a number there too."""


def findings(database: Database) -> list[str]:
    """A sentence for everything that is wrong; empty where all is well. Changes nothing."""
    try:
        with database.reading(consistent=True) as connection:
            damage = []
            if database.is_sqlite:
                answers = connection.exec_driver_sql("PRAGMA integrity_check").scalars()
                damage = [f"the file is damaged: {answer}" for answer in answers if answer != "ok"]
            for (table, what), condition in _wrong().items():
                count = connection.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar_one()
                if count:
                    damage.append(f"{table.name}: {count} rows {what}")
            return damage
    except StoreError as error:
        return [error.what]


def _wrong() -> dict[tuple[sa.Table, str], sa.ColumnElement[bool]]:
    writes = sa.select(SCHEMA.c.writes).scalar_subquery()
    seen, issued, aside = OBSERVATION.c, ISSUED.c, SET_ASIDE.c
    found = {
        (OBSERVATION, "were public after we fetched them"): (
            seen.published_at > seen.fetched_at + SLACK // timedelta(microseconds=1)
        )
        & (seen.published_at_basis != "assumed"),
        (ISSUED, "forecast the past of their issue"): issued.valid_time <= issued.issue_time,
        (LOOKED, "end before they start"): LOOKED.c.end <= LOOKED.c.start,
        (SET_ASIDE, "were released before they were set aside, or by nobody"): sa.or_(
            aside.released_write <= aside.write,
            aside.released_at < aside.fetched_at,
            aside.released_write > writes,
            *(aside.released_write.is_(None) != column.is_(None) for column in (aside.released_at, aside.released_by)),
        ),
    }
    for table in (OBSERVATION, SET_ASIDE, LOOKED, SEAL):
        found[table, "are of a write that never was"] = table.c.write.between(0, writes).is_(False)
    for table in (OBSERVATION, ISSUED):
        found[table, "have a value that is not finite"] = table.c.value.between(-LARGEST, LARGEST).is_(False)
    for table in (OBSERVATION, SET_ASIDE):
        found[table, "have an unknown published_at_basis"] = table.c.published_at_basis.not_in(PUBLISHED_AT_BASES)
    for table in (OBSERVATION, ISSUED, SET_ASIDE):
        found[table, "have a resolution that is none"] = table.c.resolution <= 0
    return found
