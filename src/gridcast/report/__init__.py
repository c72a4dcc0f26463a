"""A forecast and its record as one HTML page that needs nothing else, and as a picture.

`render` writes the page, `fan_chart` one figure of it, `render_data` a page on the data behind. All draw in light
colours; on a page the colours follow the reader's scheme.
"""

from gridcast.report.data import render_data
from gridcast.report.fan import fan_chart
from gridcast.report.page import render

__all__ = ["fan_chart", "render", "render_data"]
