"""How a process that serves looks for garbage: seldom, and never in what it has imported.

What a call makes is freed as its last reference goes. The collector is for cycles, and by default
walks through all modules, schemas and models for every few calls: a quarter of an ingress's CPU.
"""

import gc

THRESHOLDS = (20_000, 20, 20)  # the youngest objects that may pile up, then rounds per generation


def collect_seldom() -> None:
    """From now on. Call it once, when everything is imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
