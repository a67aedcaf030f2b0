"""Writes: each service owns its transaction."""
