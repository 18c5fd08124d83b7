"""S0: the pure core and the engine's loop against an in-memory node and store, through thousands of crashes."""
