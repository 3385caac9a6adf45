"""Neural SDEs trained on data whose law is known: settings, data, measures, and the training itself."""
