"""Seals of the books: canonical bytes, salted leaves, a Merkle tree that only grows, signed heads, proofs on chain."""
