"""One process of a back-fill, all through one permit file: `backfiller.py URL HOME WHO START END DAYS ZONE...`."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from gridcast.market.zones import zone
from gridcast.simulate import RemoteClock
from gridcast.sources.endpoints import Endpoints
from gridcast.sources.entsoe.api import Entsoe
from gridcast.sources.wire import Bucket, Wire

TOKEN = SecretStr("00000000-0000-4000-8000-00000000beef")


def main(url: str, home: str, who: str, *rest: str) -> None:
    start, end = (datetime.fromisoformat(text) for text in rest[:2])
    step, codes = timedelta(days=int(rest[2])), rest[3:]
    values = 0
    with RemoteClock(url, who) as clock:
        bucket = Bucket(Path(home) / "permits.db", clock=clock)
        with Wire("entsoe", clock=clock, bucket=bucket, budget=900.0, patience=86_400.0) as wire:
            source = Entsoe(wire, endpoints=Endpoints.simulated(url), clock=clock, token=TOKEN)
            for code in codes:
                begin = start
                while begin < end:
                    until = min(begin + step, end)
                    fetched = source.fetch(zone(code), start=begin, end=until)
                    values += fetched.observations.height
                    assert fetched.doubtful.is_empty()
                    begin = until
    print(values)


if __name__ == "__main__":
    main(*sys.argv[1:])
