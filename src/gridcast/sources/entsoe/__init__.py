"""ENTSO-E's Transparency Platform: the web service (`api`) and, as a second road, its File Library (`library`)."""
