"""Things that go wrong on purpose, between real parts."""
