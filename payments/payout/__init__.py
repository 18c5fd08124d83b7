"""The payout engine: a pure core that decides, steps that act, and ports between them and the world."""
