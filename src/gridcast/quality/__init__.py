"""Whether data can be trusted: a verdict a zone and local day, the rows to set aside, and dataset statistics.

Pure functions on Observations tables; what is usual is learned from the zone's own data.
"""

from gridcast.quality.clock import moved
from gridcast.quality.describing import Statistics, statistics
from gridcast.quality.judging import judge
from gridcast.quality.verdicts import DAYS, VERDICTS, Judgement, Verdict

__all__ = ["DAYS", "VERDICTS", "Judgement", "Statistics", "Verdict", "judge", "moved", "statistics"]
