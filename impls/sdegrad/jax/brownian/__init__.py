"""Brownian motion: increments over any interval, and their Levy areas."""
