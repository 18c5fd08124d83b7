"""Other ways to pay than bitcoin: files that banks read and answer, vouchers, and what both need."""
