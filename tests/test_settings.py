from __future__ import annotations

import logging
import os
import traceback
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from gridcast import models, settings
from gridcast.contracts import INPUTS
from gridcast.errors import ConfigError, MissingExtra
from gridcast.market.days import Task

CONF = Path(__file__).resolve().parents[1] / "conf"
SECRET = "s3cr3t-of-the-user"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working directory, and an environment without a variable of ours."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GRIDCAST_")]:
        monkeypatch.delenv(name)
    return tmp_path


def test_without_a_word_from_the_user_the_home_is_the_users_data_directory():
    found = settings.load()

    assert found.home.is_absolute()
    assert "gridcast" in found.home.parts
    assert found.database_url.get_secret_value() == f"sqlite:///{found.home / 'gridcast.db'}"
    assert (found.entsoe_api_key, found.openmeteo_api_key, found.zones_file) == (None, None, None)


def test_the_environment_moves_the_home_and_everything_in_it(folder, monkeypatch):
    monkeypatch.setenv("GRIDCAST_HOME", "house")
    found = settings.load()

    assert found.home == folder / "house"
    assert found.database_url.get_secret_value() == f"sqlite:///{folder / 'house' / 'gridcast.db'}"
    assert {found.models_dir, found.raw_dir, found.reports_dir} == {
        folder / "house" / name for name in ("models", "raw", "reports")
    }
    assert list(folder.iterdir()) == []


def test_a_tilde_is_the_users_own_folder(monkeypatch):
    monkeypatch.setenv("GRIDCAST_HOME", "~/energy")
    assert settings.load().home == Path.home() / "energy"


def test_the_env_file_of_the_working_directory_is_read_and_the_environment_goes_first(folder, monkeypatch):
    (folder / "zones.toml").write_text("")
    (folder / ".env").write_text(
        "GRIDCAST_DATABASE_URL=postgresql+psycopg://a@b/c\nENTSOE_API_KEY=of-the-file\nGRIDCAST_ZONES=zones.toml\n"
        "OPENMETEO_API_KEY=\nSOMEBODY_ELSES=1\n"
    )
    monkeypatch.setenv("ENTSOE_API_KEY", "of-the-environment")
    found = settings.load()

    assert found.database_url.get_secret_value() == "postgresql+psycopg://a@b/c"
    assert found.entsoe_api_key is not None
    assert found.entsoe_api_key.get_secret_value() == "of-the-environment"
    assert found.zones_file == folder / "zones.toml"
    assert found.openmeteo_api_key is None


def test_a_key_of_blanks_is_none_and_blanks_around_one_are_not_of_it(folder, monkeypatch):
    monkeypatch.setenv("ENTSOE_API_KEY", "  ")
    assert settings.load().entsoe_api_key is None
    monkeypatch.setenv("ENTSOE_API_KEY", f" {SECRET}\n")
    found = settings.load().entsoe_api_key
    assert found is not None
    assert found.get_secret_value() == SECRET


def test_the_entsoe_key_may_stand_in_a_file(folder, monkeypatch):
    (folder / "key").write_text(f"{SECRET}\n")
    monkeypatch.setenv("ENTSOE_API_KEY_FILE", "key")
    key = settings.load().entsoe_api_key

    assert key is not None
    assert key.get_secret_value() == SECRET


def test_no_secret_is_shown(monkeypatch):
    for name in ("ENTSOE_API_KEY", "OPENMETEO_API_KEY", "GRIDCAST_DATABASE_URL"):
        monkeypatch.setenv(name, SECRET)
    found = settings.load()

    assert SECRET not in f"{found!r} {found} {found.model_dump()} {found.model_dump_json()}"


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_a_key_file_without_a_readable_key_is_refused(folder, monkeypatch, content):
    (folder / "key").write_bytes(content)
    monkeypatch.setenv("ENTSOE_API_KEY_FILE", "key")
    with pytest.raises(ConfigError, match="ENTSOE_API_KEY_FILE"):
        settings.load()


def test_two_entsoe_keys_are_refused(folder, monkeypatch):
    (folder / "key").write_text("one")
    monkeypatch.setenv("ENTSOE_API_KEY_FILE", "key")
    monkeypatch.setenv("ENTSOE_API_KEY", "two")
    with pytest.raises(ConfigError, match=r"both .* set one of them"):
        settings.load()


@pytest.mark.parametrize("name", ["GRIDCAST_ZONES", "ENTSOE_API_KEY_FILE"])
def test_a_file_that_is_not_there_is_refused_by_the_name_of_its_variable(name, monkeypatch):
    monkeypatch.setenv(name, "nowhere.toml")
    with pytest.raises(ConfigError, match=f"{name} is wrong .*: correct it"):
        settings.load()


def test_a_home_that_is_a_file_is_refused(folder, monkeypatch):
    (folder / "house").write_text("")
    monkeypatch.setenv("GRIDCAST_HOME", "house")
    with pytest.raises(ConfigError, match="GRIDCAST_HOME"):
        settings.load()


def test_a_key_that_was_given_for_its_file_is_not_shown(monkeypatch):
    monkeypatch.setenv("ENTSOE_API_KEY_FILE", SECRET)
    with pytest.raises(ConfigError, match="ENTSOE_API_KEY_FILE is wrong") as refused:
        settings.load()
    assert SECRET not in "".join(traceback.format_exception(refused.value))
    assert refused.value.__context__ is None


@pytest.mark.parametrize("name", ["GRIDCAST_HOEM", "GRIDCAST_DATABSE_URL", "gridcast_zone"])
def test_a_slip_of_the_pen_in_the_environment_is_refused(name, monkeypatch):
    monkeypatch.setenv(name, SECRET)
    with pytest.raises(ConfigError, match=f"{name.upper()}: did you mean GRIDCAST_") as refused:
        settings.load()
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("name", ["GRIDCAST_PORT", "GRIDCAST_SERVICE_HOST", "GRIDCAST_TEST_POSTGRES_URL"])
def test_another_programs_variable_with_our_prefix_is_left_alone(name, monkeypatch):
    monkeypatch.setenv(name, "tcp://10.0.0.1:80")
    settings.load()


def test_an_unknown_variable_of_ours_in_the_env_file_is_refused(folder):
    (folder / ".env").write_text("GRIDCAST_DB=somewhere\n")
    with pytest.raises(ConfigError, match="GRIDCAST_DB: choose one of GRIDCAST_HOME"):
        settings.load()


def test_an_env_file_that_is_no_text_is_refused(folder):
    (folder / ".env").write_bytes(b"GRIDCAST_HOME=\xff\xfe\n")
    with pytest.raises(ConfigError, match=r"\.env is wrong \(it cannot be read as UTF-8 text\)"):
        settings.load()


@pytest.fixture(params=sorted(models.names()))
def recipe(request):
    try:
        return models.recipe(request.param)
    except MissingExtra as absent:
        pytest.skip(str(absent))


def test_a_model_is_configured_with_its_own_defaults(recipe):
    found = settings.compose([f"model={recipe.name}"])

    assert found.model == recipe.name
    assert models.recipe(found.model, found.parameters) == recipe
    assert list(found.parameters) == [each.name for each in fields(recipe)]


def test_a_models_file_names_all_of_its_parameters_in_their_order_and_nothing_else(recipe):
    written = yaml.safe_load((CONF / "model" / f"{recipe.name}.yaml").read_text("utf-8"))
    assert list(written) == ["name", *(each.name for each in fields(recipe))]


def test_every_shipped_model_and_every_task_has_a_file():
    assert {file.stem for file in (CONF / "model").iterdir()} == set(models._SHIPPED)
    assert {file.stem for file in (CONF / "task").iterdir()} == set(Task)


def test_without_overrides_the_shipped_champion_is_trained_for_the_delivery_day_on_every_input():
    found = settings.compose()

    assert (found.model, found.task, found.zone, found.seed) == (models.CHAMPION, Task.DAY_AHEAD, "DK_1", 0)
    assert found.inputs == INPUTS
    assert isinstance(found.task, Task)


def test_overrides_choose_a_model_and_change_its_parameters_in_any_order():
    overrides = ["model.strength=2", "seed=3", "model=linear", "task=next_24h", "zone=NO_1", "inputs=[load,calendar]"]
    found = settings.compose(overrides)

    assert models.recipe(found.model, found.parameters) == models.recipe("linear", {"strength": 2.0})
    assert isinstance(found.parameters["strength"], float)
    assert (found.task, found.zone, found.seed) == (Task.NEXT_24H, "NO_1", 3)
    assert found.inputs == ("load", "calendar")


def test_the_networks_take_overrides_without_torch():
    found = settings.compose(["model=conv1d", "model.epochs=40"])
    assert models.recipe(found.model, found.parameters) == models.recipe("conv1d", {"epochs": 40})


def test_the_members_of_an_ensemble_are_a_tuple_as_the_recipe_wants():
    asked = settings.compose(["model.members=[linear,naive]"]).parameters
    assert asked == {"members": ("linear", "naive"), "weights": (0.3, 0.7)}


@pytest.mark.parametrize(
    ("override", "exists"),
    [
        ("model=convd", "did you mean conv1d"),
        ("model=", "choose one of boosted"),
        ("model={name: linear}", "choose one of boosted"),
        ("model=../config", "choose one of boosted"),
        ("task=week", "choose one of day_ahead, next_24h"),
        ("models=linear", "did you mean model"),
        ("model.epoch=3", "model.epochs"),
        ("model.name=linear", "model.rate"),
        ("model.rate.low=1", "model.rate"),
        ("task.name=next_24h", "did you mean task"),
        ("hydra.run.dir=elsewhere", "choose one of model, task"),
        ("colour=blue", "zone, inputs, seed"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(override, exists):
    with pytest.raises(ConfigError, match=exists) as refused:
        settings.compose(["model=conv1d", override])
    assert repr(override) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "override", ["seed", "=1", "+colour=blue", "~zone", "seed=1,2", "model@other=linear", "", "a=["]
)
def test_what_is_no_override_is_refused_with_an_example(override):
    with pytest.raises(ConfigError, match="no override: write key=value") as refused:
        settings.compose([override])
    assert repr(override) in str(refused.value)


@pytest.mark.parametrize(
    "override",
    [
        "seed=-1",
        "seed=many",
        "seed=1.5",
        "zone=1",
        "zone=",
        "zone=null",
        "zone={code: NO_1}",
        "inputs=[wind]",
        "inputs=[]",
        "inputs=load",
        "model.epochs=many",
        "model.epochs=[1]",
        "model.rate={low: 1}",
        "zone=${colour}",
        "zone=???",
    ],
)
def test_a_wrong_value_is_refused_by_its_override(override):
    with pytest.raises(ConfigError) as refused:
        settings.compose(["model=conv1d", override])
    assert override in str(refused.value)
    assert "\n" not in str(refused.value)


@dataclass(frozen=True)
class Brought:
    """A recipe of a user's own."""

    name: ClassVar[str] = "brought"
    width: int = 4
    shape: tuple[int, ...] = (1, 2)


def test_a_users_own_model_is_configured_without_a_file(monkeypatch):
    class Point:
        load = staticmethod(lambda: Brought)

    monkeypatch.setattr(models, "_known", lambda: {**models._SHIPPED, "brought": Point})
    found = settings.compose(["model=brought", "model.width=7"])

    assert models.recipe(found.model, found.parameters) == Brought(width=7)


def test_composing_leaves_nothing_behind(folder):
    from hydra.core.global_hydra import GlobalHydra

    handlers, level, environment = logging.getLogger().handlers[:], logging.getLogger().level, dict(os.environ)
    settings.compose(["model=linear"])
    with pytest.raises(ConfigError):
        settings.compose(["model.nothing=1"])

    assert not GlobalHydra.instance().is_initialized()
    assert (logging.getLogger().handlers, logging.getLogger().level) == (handlers, level)
    assert dict(os.environ) == environment
    assert Path.cwd() == folder
    assert list(folder.iterdir()) == []


def test_the_hydra_of_a_program_around_us_is_as_it_was(folder):
    from hydra import compose, initialize_config_dir

    (folder / "theirs.yaml").write_text("colour: blue\n")
    with initialize_config_dir(str(folder), version_base="1.3"):
        settings.compose(["model=linear"])
        assert compose("theirs").colour == "blue"


def test_an_installed_package_has_the_configuration_inside(folder, monkeypatch):
    (folder / "conf").symlink_to(CONF)
    monkeypatch.setattr(settings, "__file__", str(folder / "settings.py"))
    assert settings.compose(["model=linear"]).model == "linear"


def test_a_package_that_lost_its_configuration_says_so(folder, monkeypatch):
    monkeypatch.setattr(settings, "__file__", str(folder / "a" / "b" / "settings.py"))
    with pytest.raises(ConfigError, match="lost its configuration folder: install gridcast again"):
        settings.compose()
