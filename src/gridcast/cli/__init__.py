"""The command line. `main` is the door; every command imports what it needs when it runs."""

from gridcast.cli.app import main

__all__ = ["main"]
