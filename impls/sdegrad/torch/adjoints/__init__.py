"""Gradients of a solve."""
