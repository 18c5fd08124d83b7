"""What the public sector holds of bitcoin: what it came for, what it went for, and what was gained by that."""
