"""What payments testify to the ledger: claims, and what blocks say."""
