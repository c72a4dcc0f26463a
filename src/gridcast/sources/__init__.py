"""Where observations come from: one adapter a file. Foreign names, units and clocks die here."""
