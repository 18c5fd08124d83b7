"""Law as data: dated rule sets and tax tables in files, each rule with where it is written (R-24, R-33)."""
