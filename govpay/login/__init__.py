"""Signing in: lockout, second factors, and fresh proof for acts that move money. Doors ask; services know nothing of it."""
