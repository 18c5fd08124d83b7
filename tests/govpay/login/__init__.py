"""Tests of signing in, by area."""
