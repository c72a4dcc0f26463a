"""The live sources, as the settings describe them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from pydantic import SecretStr

from gridcast.errors import ConfigError, Unauthorized
from gridcast.market.zones import BiddingZone
from gridcast.sources.fetched import Clock, LiveSource

if TYPE_CHECKING:
    from gridcast.settings import Settings

LIVE = ("entsoe", "entsoe-files", "energidata", "openmeteo")
"""Sources that are asked over the network."""

SIMULATED_TOKEN = SecretStr("00000000-0000-4000-8000-000000000000")
"""What a newcomer without a token shows to the simulator, or has where nobody is asked."""


def source_order(zone: BiddingZone) -> tuple[str, ...]:
    """The live sources of a zone's load, best first.

    Raises:
        ConfigError: it has none.
    """
    if not zone.sources:
        raise ConfigError(
            f"no live source serves {zone.code}", remedy="ingest a file: --source tabular --file F", zone=zone.code
        )
    return zone.sources


@contextmanager
def providers(
    names: Sequence[str],
    *,
    settings: Settings,
    clock: Clock,
    asked: bool = True,
    left_out: Callable[[Unauthorized], None] = lambda _: None,
) -> Iterator[list[LiveSource]]:
    """Adapters in the order of their names; one that lacks its key is left out while another is there.

    Args:
        names: the sources.
        settings: their keys, and where they are.
        clock: theirs.
        asked: whether they will be; what is kept can be read without a key.
        left_out: is told why, for each that is left out.

    Raises:
        ConfigError: there is no such source, or the home holds simulated data beside real sources or vice versa.
        Unauthorized: a key is missing, and no other source is named.
    """
    if settings.mixed:
        here, there = ("real", "a simulator's") if settings.simulator else ("simulated", "real")
        raise ConfigError(
            f"{settings.home} holds {here} data, and {there} have no business beside them",
            remedy="set GRIDCAST_HOME to another folder",
        )
    with ExitStack() as stack:
        found: list[LiveSource] = []
        missing: list[Unauthorized] = []
        for name in names:
            try:
                found.append(stack.enter_context(provider(name, settings=settings, clock=clock, asked=asked)))
            except Unauthorized as error:
                missing.append(error)
        if not found:
            raise missing[0]
        for each in missing:
            left_out(each)
        yield found


@contextmanager
def provider(name: str, *, settings: Settings, clock: Clock, asked: bool = True) -> Iterator[LiveSource]:
    """An adapter with its own connection, closed at the end; one that is not to be ``asked`` needs no key.

    Raises:
        ConfigError: there is no such source, or it lacks an account.
        Unauthorized: ENTSO-E's token is missing.
    """
    from gridcast.sources.wire import Bucket, Kept, Wire

    endpoints = settings.endpoints
    stand_in = SIMULATED_TOKEN if settings.simulator or not asked else None
    settings.permits_file.parent.mkdir(parents=True, exist_ok=True)
    bucket = Bucket(settings.permits_file, clock=clock)
    with Wire(name, clock=clock, bucket=bucket, kept=Kept(settings.raw_dir)) as wire:
        if name == "entsoe":
            from gridcast.sources.entsoe.api import Entsoe

            token = settings.entsoe_api_key or stand_in
            if token is None:
                raise Unauthorized(
                    "ENTSO-E answers nobody without a token",
                    remedy="set ENTSOE_API_KEY or ENTSOE_API_KEY_FILE, or try it on `gridcast simulate`",
                    source=name,
                )
            yield Entsoe(wire, endpoints=endpoints, clock=clock, token=token)
        elif name == "entsoe-files":
            from gridcast.sources.entsoe.library import EntsoeFiles

            user = settings.entsoe_user or ("simulated" if stand_in else None)
            password = settings.entsoe_password or stand_in
            if user is None or password is None:
                raise Unauthorized(
                    "ENTSO-E's File Library needs an account",
                    remedy="set ENTSOE_USER and ENTSOE_PASSWORD, or try it on `gridcast simulate`",
                    source=name,
                )
            yield EntsoeFiles(wire, endpoints=endpoints, clock=clock, user=user, password=password)
        elif name == "energidata":
            from gridcast.sources.energidata import Energidata

            yield Energidata(wire, endpoints=endpoints, clock=clock)
        elif name == "openmeteo":
            from gridcast.sources.openmeteo import OpenMeteo

            yield OpenMeteo(
                wire,
                endpoints=endpoints,
                clock=clock,
                api_key=settings.openmeteo_api_key,
                model=settings.openmeteo_model,
            )
        else:
            raise ConfigError(f"there is no live source {name!r}", remedy=f"choose one of {', '.join(LIVE)}")
