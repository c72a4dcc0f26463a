"""How a worker makes its app, from values that can be sent to another process; nothing heavy is loaded before."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridcast.api.guard import App, Options


def application(*, database_url: str, models: Path, zones_file: Path | None, options: Options) -> App:
    """The app of one worker.

    Raises:
        StoreError: the database cannot be opened.
        ConfigError: the zones file is wrong.
    """
    from gridcast.api.app import create_app
    from gridcast.pipeline.clock import SystemClock
    from gridcast.pipeline.serving import Service
    from gridcast.registry import Registry
    from gridcast.store.database import Store

    service = Service(store=Store(database_url), registry=Registry(models), clock=SystemClock(), zones_file=zones_file)
    app = create_app(service=service, options=options)
    gc.collect()
    gc.freeze()  # libraries and models stay: a collection that looked through them would hold up every request
    return app
