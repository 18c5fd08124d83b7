"""The checker of design invariants; it imports nothing of the product, so that no mistake is shared."""
