"""Child processes that load torch, so that the app need not: one answers questions, one writes reference responses."""
