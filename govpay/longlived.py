"""What every process that works for days does once it has loaded."""

import gc


def settle_in() -> None:
    """Keep the collector of garbage from looking, again and again, through what was loaded and stays for ever."""
    gc.collect()
    gc.freeze()
