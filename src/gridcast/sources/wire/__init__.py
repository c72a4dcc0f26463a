"""How a provider is asked: one client for all of them, a budget of requests shared by processes, raw answers kept."""

from __future__ import annotations

from gridcast.sources.wire.bucket import Bucket, Limit, Permit
from gridcast.sources.wire.client import Wire
from gridcast.sources.wire.kept import Kept

__all__ = ["Bucket", "Kept", "Limit", "Permit", "Wire"]
