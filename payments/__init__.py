"""Programs, people, disbursements, payouts and the chain."""
