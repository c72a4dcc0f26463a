"""Where the providers are, and the only other places that may stand in for them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from ipaddress import ip_address
from urllib.parse import urlsplit

from gridcast.errors import ConfigError

OFFICIAL = (
    "web-api.tp.entsoe.eu",
    "web-api.tp-iop.entsoe.eu",
    "external-api.tp.entsoe.eu",
    "keycloak.tp.entsoe.eu",
    "fms.tp.entsoe.eu",
    "api.energidataservice.dk",
    *(
        f"{prefix}{name}.open-meteo.com"
        for prefix in ("", "customer-")
        for name in ("api", "single-runs-api", "previous-runs-api", "historical-forecast-api", "archive-api")
    ),
)
"""Hosts that a request, and with it a token, may go to. ENTSO-E's three are its service, its test system and a
stand-in of November 2025."""


@dataclass(frozen=True)
class Endpoints:
    """Base URLs, each without a slash at its end.

    Raises:
        ConfigError: one is neither ``https`` at an `OFFICIAL` host nor on this machine's loopback.
    """

    entsoe: str = "https://web-api.tp.entsoe.eu/api"
    entsoe_login: str = "https://keycloak.tp.entsoe.eu/realms/tp/protocol/openid-connect/token"
    entsoe_files: str = "https://fms.tp.entsoe.eu"
    energidata: str = "https://api.energidataservice.dk"
    openmeteo: str = "https://api.open-meteo.com"
    openmeteo_single_runs: str = "https://single-runs-api.open-meteo.com"
    openmeteo_previous_runs: str = "https://previous-runs-api.open-meteo.com"
    openmeteo_historical: str = "https://historical-forecast-api.open-meteo.com"
    openmeteo_archive: str = "https://archive-api.open-meteo.com"

    def __post_init__(self) -> None:
        for field in fields(self):
            check(getattr(self, field.name))

    @classmethod
    def simulated(cls, url: str) -> Endpoints:
        """Every provider at a grid simulator, e.g. ``http://127.0.0.1:8765``.

        Raises:
            ConfigError: no simulator can be there.

        >>> Endpoints.simulated("http://127.0.0.1:8765/").energidata
        'http://127.0.0.1:8765/energidata'
        """
        base = simulator_at(url)
        paths = {"entsoe": "entsoe/api", "entsoe_login": "entsoe/login", "entsoe_files": "entsoe/files"}
        return cls(
            **{
                field.name: f"{base}/{paths.get(field.name, field.name.replace('_', '/', 1).replace('_', '-'))}"
                for field in fields(cls)
            }
        )


def simulator_at(url: str) -> str:
    """The address of a grid simulator, without a slash at its end.

    Raises:
        ConfigError: no simulator can be there, and why.

    >>> simulator_at("http://127.0.0.1:8765/")
    'http://127.0.0.1:8765'
    """
    if fault := _no_simulator(url):
        shown = "" if set("@?#") & set(url) else f" {url!r}"  # there may be a password in it
        raise ConfigError(f"the simulator's address{shown} {fault}", remedy="give it as http://127.0.0.1:PORT")
    return url.rstrip("/")


def _no_simulator(url: str) -> str:
    """What is wrong with the address of a simulator; empty where nothing is."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "is no URL"
    try:
        port = parts.port
    except ValueError:
        port = 0
    faults = {
        "is no plain http URL": parts.scheme != "http" or not parts.hostname,
        "has a name, which may lead elsewhere": parts.hostname == "localhost",
        "names no port": port is None,
        "names a port that is none of 1 to 65535": port == 0,
        "says more than a host and a port": bool(parts.path.strip("/") or set("@?#") & set(url)),
        "is not on this machine": not on_loopback(url),
    }
    return next((fault for fault, found in faults.items() if found), "")


def on_loopback(url: str) -> bool:
    """Whether a plain ``http`` URL leads to this machine and nowhere else, with no user name in it."""
    try:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.username or parts.password or parts.query or parts.fragment:
            return False
        return parts.hostname is not None and parts.port is not None and ip_address(parts.hostname).is_loopback
    except ValueError:
        return False


def check(url: str) -> str:
    """The URL itself, if a token may be sent there.

    Raises:
        ConfigError: it may not.
    """
    try:
        parts = urlsplit(url)
        official = (
            parts.scheme == "https"
            and parts.hostname in OFFICIAL
            and parts.port in (None, 443)
            and not (parts.username or parts.password or parts.query or parts.fragment)
        )
    except ValueError:
        official = False
    if not official and not on_loopback(url):
        raise ConfigError(
            "an address given for a provider is neither one of its own nor on this machine",
            remedy="leave it out, or name a https address of the provider, or http://127.0.0.1:PORT of a simulator",
        )
    return url
