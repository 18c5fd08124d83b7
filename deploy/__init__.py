"""Everything that runs govpay: the local stack, the demo, images."""
