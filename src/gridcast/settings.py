"""The environment, a ``.env`` file and Hydra's configuration become plain values here, and stop here."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict

from gridcast import models
from gridcast.errors import ConfigError
from gridcast.market.days import Task
from gridcast.sources.endpoints import Endpoints, check

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

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


def _stripped(value: object) -> object:
    """A secret without the blanks that came along; none, where there is nothing else."""
    return (value.strip() or None) if isinstance(value, str) else value


_Secret = Annotated[SecretStr | None, BeforeValidator(_stripped)]
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
        entsoe_url: ``GRIDCAST_ENTSOE_URL``, the web service's address, should ENTSO-E move it again.
        entsoe_user: ``ENTSOE_USER``, an account of the Transparency Platform, for its File Library.
        entsoe_password: ``ENTSOE_PASSWORD``, that account's.
        openmeteo_api_key: ``OPENMETEO_API_KEY``, a customer's; the free service needs none.
        openmeteo_model: ``OPENMETEO_MODEL``, the weather model to ask for; one, and always the same.
        simulator: ``GRIDCAST_SIMULATOR``, a grid simulator on this machine that stands in for every provider.
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
    entsoe_api_key: _Secret = Field(default_factory=_key_in_file, validation_alias="ENTSOE_API_KEY")
    openmeteo_api_key: _Secret = Field(default=None, validation_alias="OPENMETEO_API_KEY")
    openmeteo_model: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")] = Field(
        default="ecmwf_ifs", validation_alias="OPENMETEO_MODEL"
    )
    entsoe_url: Annotated[str, AfterValidator(check)] = Field(
        default=Endpoints().entsoe, validation_alias="GRIDCAST_ENTSOE_URL"
    )
    entsoe_user: str | None = Field(default=None, validation_alias="ENTSOE_USER")
    entsoe_password: _Secret = Field(default=None, validation_alias="ENTSOE_PASSWORD")
    simulator: str | None = Field(default=None, validation_alias="GRIDCAST_SIMULATOR")
    zones_file: _File | None = Field(default=None, validation_alias="GRIDCAST_ZONES")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.entsoe_api_key_file is not None and "entsoe_api_key" in self.model_fields_set:
            raise ConfigError("both ENTSOE_API_KEY and ENTSOE_API_KEY_FILE are set", remedy="set one of them")
        return self

    @property
    def endpoints(self) -> Endpoints:
        """Where the providers are.

        Raises:
            ConfigError: the simulator is not on this machine.
        """
        if self.simulator is not None:
            return Endpoints.simulated(self.simulator)
        return Endpoints(entsoe=self.entsoe_url)

    @property
    def models_dir(self) -> Path:
        """Where the registry is."""
        return self.home / "models"

    @property
    def raw_dir(self) -> Path:
        """Where the sources' raw answers are kept; a simulator's are kept apart."""
        return self._of_providers / "raw"

    @property
    def raw_dirs(self) -> tuple[Path, ...]:
        """Where raw answers are kept that the home has, whether of providers or of a simulator."""
        return tuple(each for each in (self.home / "raw", self.home / "simulated" / "raw") if each.exists())

    @property
    def permits_file(self) -> Path:
        """Where processes agree on who may ask a provider next; a simulator's clock has no say in real permits."""
        return self._of_providers / "permits.db"

    @property
    def mixed(self) -> bool:
        """Whether the home has answers of a simulator where the providers are real, or the other way round."""
        return any(each != self.raw_dir and each.is_dir() and any(each.iterdir()) for each in self.raw_dirs)

    @property
    def _of_providers(self) -> Path:
        return self.home / "simulated" if self.simulator else self.home

    @property
    def reports_dir(self) -> Path:
        """Where reports go that were given no path."""
        return self.home / "reports"


def load() -> Settings:
    """The settings as they stand now.

    Raises:
        ConfigError: a variable is wrong or misspelt, or ``.env`` cannot be read. No message shows a secret value.
    """
    try:
        _check_names()
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where, why = first["loc"][0], _lower(first["msg"])
    except (OSError, UnicodeDecodeError):
        where, why = ".env", "it cannot be read as UTF-8 text"
    # Raised out here, so that no traceback leads on to pydantic's error, which shows the value.
    raise ConfigError(f"the variable {where} is wrong ({why})", remedy="correct it, or leave it out", variable=where)


def _check_names() -> None:
    """Refuse variables that were meant for us and say nothing to us.

    A name in the environment that is only prefixed like ours may be another program's (Kubernetes sets such), so it
    must also resemble one of ours.
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
        ConfigError: an override cannot be read, names nothing that exists, or gives it a wrong value.
        MissingExtra: the library of a plugged-in model is not installed.
    """
    from hydra import compose as composed
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    conf = _conf()
    groups = {each.name: sorted(file.stem for file in each.glob("*.yaml")) for each in conf.iterdir() if each.is_dir()}
    groups["model"] += [name for name in models.names() if name not in groups["model"]]
    keys = {text: _key(text) for text in overrides}
    choices = [text for text, key in keys.items() if key in groups]
    for text in choices:
        _check_choice(text, group=keys[text], options=groups[keys[text]], conf=conf)
    try:
        with _hydra(conf):
            usual = _values(OmegaConf.to_container(composed("config", choices)), groups)
            for text, key in keys.items():
                if key not in groups and (key not in usual or key.endswith(".name")):
                    known = [*groups, *(each for each in usual if not each.endswith(".name"))]
                    raise _unknown(text, key, kind="key", known=known)
            config = composed("config", list(overrides))
            values = _values(OmegaConf.to_container(config, resolve=True, throw_on_missing=True), groups)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(
            f"the overrides {' '.join(overrides)} make no configuration ({str(error).splitlines()[0]})",
            remedy="give every key a value of its own",
        ) from error
    try:
        return _experiment(values)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
    key = next(key for key in (f"model.{wrong['loc'][0]}", str(wrong["loc"][0])) if key in values)
    text = next((text for text in reversed(overrides) if keys[text] == key), f"{key}={values[key]}")
    raise ConfigError(
        f"the value of {text!r} will not do ({_lower(wrong['msg'])})",
        remedy=f"its usual value is {usual[key]}",
        key=key,
    )


def _conf() -> Path:
    """The folder of Hydra's groups: inside the package where it was installed, at the root in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parents[1] / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise ConfigError(f"{package} has lost its configuration folder", remedy="install gridcast again")


@contextmanager
def _hydra(conf: Path) -> Iterator[None]:
    """Hydra, ready to compose; the Hydra of a program around us is put aside meanwhile."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    around = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf), job_name="gridcast", version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = around


def _key(text: str) -> str:
    """The key or group that an override sets."""
    override = _parsed(text)
    if (
        override is None
        or override.type.name != "CHANGE"
        or override.is_sweep_override()
        or override.package
        or not override.key_or_group
    ):
        raise ConfigError(
            f"{text!r} is no override",
            remedy="write key=value with one value, as in model=linear, model.strength=2 or 'inputs=[load,calendar]'",
            override=text,
        )
    return str(override.key_or_group)


def _parsed(text: str) -> Override | None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        return None


def _check_choice(text: str, *, group: str, options: Sequence[str], conf: Path) -> None:
    """Refuse a group's option that does not exist; describe a plugged-in model, which has no file, to Hydra."""
    option = text.partition("=")[2].strip("'\"")
    if option not in options:
        raise _unknown(text, option, kind=group, known=options)
    if not (conf / group / f"{option}.yaml").is_file():
        from hydra.core.config_store import ConfigStore

        recipe = models.recipe(option)
        ConfigStore.instance().store(option, {"name": option} | _parameters(recipe), group=group)


def _parameters(recipe: models.Recipe) -> dict[str, Any]:
    return {each.name: getattr(recipe, each.name) for each in fields(recipe) if each.init}  # type: ignore[arg-type]


def _values(config: Any, groups: Collection[str]) -> dict[str, Any]:  # noqa: ANN401  # OmegaConf's own answer
    """A configuration's values by key; those of a group carry its name and a dot."""
    values: dict[str, Any] = {}
    for name, node in config.items():
        values |= {f"{name}.{each}": value for each, value in node.items()} if name in groups else {name: node}
    return values


def _experiment(values: Mapping[str, Any]) -> Experiment:
    """The configuration's values as what they are declared to be; pydantic's error names the first that is none."""
    name = values["model.name"]
    chosen = {key.removeprefix("model."): value for key, value in values.items() if key.startswith("model.")}
    del chosen["name"]
    kind = type(models.recipe(name, chosen))
    return Experiment(
        model=name,
        parameters=_parameters(TypeAdapter(kind).validate_python(chosen)),
        task=values["task.name"],
        zone=values["zone"],
        inputs=values["inputs"],
        seed=values["seed"],
    )


def _unknown(text: str, wrong: str, *, kind: str, known: Sequence[str]) -> ConfigError:
    near = difflib.get_close_matches(wrong, known, n=3)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    return ConfigError(
        f"the override {text!r} names a {kind} that does not exist",
        remedy=f"{guess}choose one of {', '.join(known)}",
        override=text,
        known=tuple(known),
    )


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
