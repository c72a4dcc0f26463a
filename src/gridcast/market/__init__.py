"""The calendar of the electricity market: zones, delivery days, gates, clocks and holidays.

No data, and no input or output but its own table of zones and a user's. Import the module you need::

    from gridcast.market.days import delivery_window
    from gridcast.market.daytypes import day_types
    from gridcast.market.zones import zone
"""
