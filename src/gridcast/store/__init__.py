"""Append-only vintages in, snapshots of what was public out.

`snapshot` and `digest` are pure and need no database; the database stands in `gridcast.store.database`, imported only
where one is opened.
"""

from gridcast.store.digest import digest
from gridcast.store.snapshots import model_resolution, snapshot

__all__ = ["digest", "model_resolution", "snapshot"]
