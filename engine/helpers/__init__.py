"""Child processes that load torch for somebody else: answers and reference responses for the app."""
