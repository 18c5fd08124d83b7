"""What comes in and goes out, by noun. Amounts are integers of satoshis, hashes display hex."""
