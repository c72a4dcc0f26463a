"""The command line's frame: what every command shares on the way in and out."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from gridcast.cli import options
from gridcast.errors import ConfigError, GridcastError, OutputExists

app = typer.Typer(
    name="gridcast",
    help="Tomorrow's electricity load of a bidding zone, as a calibrated fan of quantiles.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_WrongUsage: Any = typer.BadParameter.__bases__[0]
"""What typer raises for an option that is unknown, absent or wrong; it has no public name for it."""


def main() -> None:
    """Run the command line: exit 0 done, 1 failed (one line on stderr), 2 wrong usage."""
    try:
        code = app(args=sys.argv[1:] or ["--help"], standalone_mode=False) or 0
    except _WrongUsage as error:
        context = getattr(error, "ctx", None)
        print(
            f"gridcast: {' '.join(error.format_message().split()).rstrip('.')}: "
            f"see {context.command_path if context else 'gridcast'} --help",
            file=sys.stderr,
        )
        code = 2
    except GridcastError as error:
        print(f"gridcast: {error}", file=sys.stderr)
        code = 2 if isinstance(error, ConfigError) and not isinstance(error, OutputExists) else 1
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except OSError as error:
        print(
            f"gridcast: {error.filename or 'input or output'}: {error.strerror}: check the path and its rights",
            file=sys.stderr,
        )
        code = 1
    sys.exit(code)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"gridcast {version('gridcast')}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Tomorrow's electricity load of a bidding zone, as a calibrated fan of quantiles."""


@app.command()
def zones(as_json: options.JsonOption = False) -> None:
    """List the bidding zones."""
    from gridcast.cli import show

    known = options.known_zones()
    show.zones(known, as_json=as_json)
