"""The views, by noun: each parses, makes one call, and renders."""
