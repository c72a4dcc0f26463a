"""Everything that can go wrong, as one tree.

::

    GridcastError
    ├── ConfigError              a setting or option is unknown or wrong
    │   ├── UnknownZone          no bidding zone of that code
    │   ├── UnknownModel         no model of that name
    │   ├── MissingExtra         the optional dependency is not installed
    │   └── OutputExists         the file to write is already there
    ├── DataError                the data break a contract
    │   ├── UnreadableFile       truncated, empty, binary, not the format
    │   ├── MissingColumns       a required column is absent
    │   ├── BadTime              time stamps naive, mixed or not times
    │   ├── DuplicateTime        the same interval twice
    │   ├── OffGrid              stamps that are not multiples of the resolution
    │   ├── ImplausibleValue     negative, infinite or not a number
    │   ├── TooLittleHistory     fewer days than the model needs
    │   ├── NotForecastable      a delivery day outside the horizon
    │   └── OutsideData          a period the data do not cover
    ├── SourceError              a provider gave no usable answer
    │   ├── Unreachable          no answer within the time budget, or none but failures
    │   ├── RateLimited          the provider wants us to wait longer than we may
    │   ├── Unauthorized         the token is missing, wrong or not allowed
    │   ├── Refused              the provider turned the request down, and says why
    │   └── BadAnswer            the answer is broken, too large or not what was asked for
    ├── LookaheadError           somebody asked a snapshot for what was not public
    ├── StoreError               the database is unreachable, foreign or damaged
    └── RegistryError            a model version is missing or fails its check
        ├── ModelNotFound
        └── ArtifactMismatch

Every message says what happened, where, and what to do. The facts are attributes, so that a program need not parse
prose.
"""

from __future__ import annotations


class GridcastError(Exception):
    """Root of the tree.

    Args:
        what: what happened, and where, in one sentence without a full stop.
        remedy: what to do about it, in one sentence without a full stop.
        **facts: the values behind the sentence; each becomes an attribute.
    """

    def __init__(self, what: str, *, remedy: str, **facts: object) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.facts = facts

    def __getattr__(self, name: str) -> object:
        try:
            return self.__dict__["facts"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.remedy, self.facts))

    def __str__(self) -> str:
        """One line: what, where, what to do.

        >>> print(GridcastError("the cup is empty", remedy="fill it"))
        the cup is empty: fill it
        """
        return f"{self.what}: {self.remedy}"


def _rebuild(kind: type[GridcastError], what: str, remedy: str, facts: dict[str, object]) -> GridcastError:
    return kind(what, remedy=remedy, **facts)


class ConfigError(GridcastError):
    """A setting or option is unknown or wrong."""


class UnknownZone(ConfigError):
    """No bidding zone of that code. Facts: ``zone``, ``nearest``."""


class UnknownModel(ConfigError):
    """No model of that name. Facts: ``model``, ``known``."""


class MissingExtra(ConfigError):
    """An optional dependency is not installed. Facts: ``extra``."""


class OutputExists(ConfigError):
    """The file to write is already there. Facts: ``path``."""


class DataError(GridcastError):
    """The data break a contract. Facts: ``where``, and often ``rows`` (the first offending ones)."""


class UnreadableFile(DataError):
    """The file is truncated, empty, binary or of another format. Facts: ``where``."""


class MissingColumns(DataError):
    """A required column is absent. Facts: ``where``, ``missing``."""


class BadTime(DataError):
    """Time stamps are naive, mixed or not times. Facts: ``where``, ``rows``."""


class DuplicateTime(DataError):
    """The same interval stands twice. Facts: ``where``, ``rows``."""


class OffGrid(DataError):
    """Time stamps are not multiples of the resolution. Facts: ``where``, ``rows``."""


class ImplausibleValue(DataError):
    """A value is negative, infinite or not a number. Facts: ``where``, ``rows``."""


class TooLittleHistory(DataError):
    """Fewer days than the model needs. Facts: ``needed``, ``have`` (days)."""


class NotForecastable(DataError):
    """A delivery day outside the horizon. Facts: ``delivery_day``."""


class OutsideData(DataError):
    """A period that the data do not cover. Facts: ``first``, ``last`` (what they do cover)."""


class SourceError(GridcastError):
    """A provider gave no usable answer. Facts: ``source``, and often ``url`` (without secrets) and ``status``."""


class Unreachable(SourceError):
    """No answer within the time budget, or nothing but failures. Facts: ``attempts``."""


class RateLimited(SourceError):
    """The provider wants us to wait longer than we may. Facts: ``until`` (UTC)."""


class Unauthorized(SourceError):
    """The token is missing, wrong or not allowed."""


class Refused(SourceError):
    """The provider turned the request down. Facts: ``reason`` (its own words)."""


class BadAnswer(SourceError):
    """The answer is broken, too large or not what was asked for. Facts: ``fault`` (its class, one word or two)."""


class LookaheadError(GridcastError):
    """Somebody asked a snapshot for what was not public then."""


class StoreError(GridcastError):
    """The database is unreachable, foreign or damaged."""


class RegistryError(GridcastError):
    """A model version is missing or fails its check."""


class ModelNotFound(RegistryError):
    """No such model version. Facts: ``version``."""


class ArtifactMismatch(RegistryError):
    """A model file is not the one that was registered. Facts: ``path``."""
