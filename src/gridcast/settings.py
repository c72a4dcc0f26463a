"""The environment, a ``.env`` file and Hydra's configuration become plain values here, and stop here."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import platformdirs
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict

from gridcast import models
from gridcast.errors import ConfigError
from gridcast.market.days import Task

if TYPE_CHECKING:
    pass

_PREFIX = "GRIDCAST_"
_LIKE = 0.85
"""How much a variable's name must resemble one of ours to count as a slip of the pen."""


def _absolute(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()


def _folder(path: str | Path) -> Path:
    folder = _absolute(path)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(
            f"GRIDCAST_HOME is {folder}, which is no folder",
            remedy="name a folder, which may still be missing, or unset it",
        )
    return folder


def _sqlite(known: dict[str, Any]) -> SecretStr:
    return SecretStr(f"sqlite:///{known['home'] / 'gridcast.db'}")


def _key_in_file(known: dict[str, Any]) -> SecretStr | None:
    path: Path | None = known.get("entsoe_api_key_file")
    if path is None:
        return None
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        key = ""
    if not key:
        raise ConfigError(
            f"ENTSOE_API_KEY_FILE names {path}, which holds no readable key",
            remedy="write the key into it, as plain text",
        )
    return SecretStr(key)


_File = Annotated[FilePath, BeforeValidator(_absolute)]


class Settings(BaseSettings):
    """What the environment and the ``.env`` file in the working directory say; the environment goes first.

    A variable that is set to nothing counts as not set. Nothing is made on the disk. No key or password is shown in a
    ``repr``.

    Attributes:
        home: ``GRIDCAST_HOME``, where the store, models and raw answers are; by default the user's data directory.
        database_url: ``GRIDCAST_DATABASE_URL``; by default SQLite in the home.
        entsoe_api_key_file: ``ENTSOE_API_KEY_FILE``, a file that holds the key below.
        entsoe_api_key: ``ENTSOE_API_KEY``, or what the file holds.
        openmeteo_api_key: ``OPENMETEO_API_KEY``; the free service needs none.
        zones_file: ``GRIDCAST_ZONES``, a TOML file with zones and portfolios of your own.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    home: Annotated[Path, BeforeValidator(_folder)] = Field(
        default_factory=lambda: platformdirs.user_data_path("gridcast", appauthor=False),
        validation_alias="GRIDCAST_HOME",
    )
    database_url: SecretStr = Field(default_factory=_sqlite, validation_alias="GRIDCAST_DATABASE_URL")
    entsoe_api_key_file: _File | None = Field(default=None, validation_alias="ENTSOE_API_KEY_FILE")
    entsoe_api_key: SecretStr | None = Field(default_factory=_key_in_file, validation_alias="ENTSOE_API_KEY")
    openmeteo_api_key: SecretStr | None = Field(default=None, validation_alias="OPENMETEO_API_KEY")
    zones_file: _File | None = Field(default=None, validation_alias="GRIDCAST_ZONES")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.entsoe_api_key_file is not None and "entsoe_api_key" in self.model_fields_set:
            raise ConfigError("both ENTSOE_API_KEY and ENTSOE_API_KEY_FILE are set", remedy="set one of them")
        return self

    @property
    def models_dir(self) -> Path:
        """Where the registry is."""
        return self.home / "models"

    @property
    def raw_dir(self) -> Path:
        """Where the sources' raw answers are kept."""
        return self.home / "raw"

    @property
    def reports_dir(self) -> Path:
        """Where reports go that were given no path."""
        return self.home / "reports"


def load() -> Settings:
    """The settings as they stand now.

    Raises:
        ConfigError: a variable is wrong or misspelt, or ``.env`` cannot be read. No message shows a value that may be secret.
    """
    try:
        _check_names()
        return Settings()
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
    except (OSError, UnicodeDecodeError):
        wrong = {"loc": (".env",), "msg": "It cannot be read as UTF-8 text"}
    # Raised out here, so that no traceback leads on to pydantic's error, which shows the value.
    raise ConfigError(f"{wrong['loc'][0]}: {_lower(wrong['msg'])}", remedy="correct it, or leave it out")


def _check_names() -> None:
    """Refuse variables that were meant for us and say nothing to us.

    A name in the environment that is only prefixed like ours may be another program's (Kubernetes sets such), so it must
    also resemble one of ours.
    """
    ours = [str(each.validation_alias) for each in Settings.model_fields.values()]
    written = {name.upper() for name in DotEnvSettingsSource(Settings).env_vars}
    for name in sorted(written | {name.upper() for name in os.environ}):
        near = difflib.get_close_matches(name, ours, n=1, cutoff=_LIKE)
        if name.startswith(_PREFIX) and name not in ours and (near or name in written):
            raise ConfigError(
                f"there is no variable {name}",
                remedy=f"did you mean {near[0]}?" if near else f"choose one of {', '.join(ours)}",
            )


class Experiment(BaseModel):
    """What to train: a model's recipe by name and ``parameters``, for which task and zone, on which inputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    parameters: Mapping[str, Any]
    task: Task
    zone: Annotated[str, Field(min_length=1)]
    inputs: Annotated[tuple[Literal["load", "calendar", "weather", "tso"], ...], Field(min_length=1)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]


def compose(overrides: Sequence[str] = ()) -> Experiment:
    """The experiment that the configuration and the overrides make, e.g. ``model=conv1d model.epochs=40 seed=3``.

    Hydra composes it and leaves nothing behind: no folder, no logging, no global state. Whether the zone exists is for
    `market.zones.zone` to say.

    Raises:
        ConfigError: an override cannot be read, names nothing, or has a wrong value.
        MissingExtra: a plugged-in model's library is not installed.
    """
    from hydra import compose as composed
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    conf = _conf()
    groups = {each.name: sorted(file.stem for file in each.glob("*.yaml")) for each in conf.iterdir() if each.is_dir()}
    groups["model"] += [name for name in models.names() if name not in groups["model"]]
    parsed = {text: _parsed(text) for text in overrides}
    chosen = {text: each for text, each in parsed.items() if each.key_or_group in groups}
    for text, each in chosen.items():
        if each.value() not in groups[each.key_or_group]:
            raise _unknown(text, f"{each.key_or_group} {each.value()!r}", known=groups[each.key_or_group])
        if each.key_or_group == "model" and not (conf / "model" / f"{each.value()}.yaml").exists():
            _store_defaults(str(each.value()))
    try:
        with _hydra(conf):
            usual = _plain(composed("config", list(chosen)))
            known = _keys(usual, groups)
            for text, each in parsed.items():
                if each.key_or_group not in [*known, *groups]:
                    raise _unknown(text, f"key {each.key_or_group!r}", known=[*groups, *known])
            config = OmegaConf.to_container(composed("config", list(overrides)), resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(
            f"the overrides {' '.join(overrides)} make no configuration ({str(error).splitlines()[0]})",
            remedy="give each key once, a value of its own",
        ) from error
