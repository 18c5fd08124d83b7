"""Compares what we claim to have paid with our books and with what blocks say."""
