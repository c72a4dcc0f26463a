"""Append-only vintages in, snapshots of what was public out.

`snapshot` is pure and needs no database; the database stands in `gridcast.store.database`, imported only where one is
opened.
"""

from gridcast.store.snapshots import model_resolution, snapshot

__all__ = ["model_resolution", "snapshot"]
