"""The command line: options in, verbs called, results on stdout; logs and progress on stderr.

`main` is the door; every command imports what it needs when it runs.
"""

from gridcast.cli import data, forecasting, journal, keeping, serving, simulating, snapshots
from gridcast.cli.app import main

__all__ = ["data", "forecasting", "journal", "keeping", "main", "serving", "simulating", "snapshots"]
