"""The one door to Bitcoin: addresses, amounts, fees, txs, PSBTs, blocks and the node."""
