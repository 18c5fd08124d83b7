"""What anybody may know of all programs: figures taken at a moment, signed and kept (docs/transparency.md)."""
