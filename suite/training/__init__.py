"""Neural SDEs trained on data whose law is known: settings, data, measures, and the training itself."""

REAL = "real paths"  # in the place of an implementation: what is compared with
