"""What a model sees: calendar, lags and weather of each interval to forecast, as public at its origin's issue time."""
