"""The evaluation of a model: its figures, where it fails, and another model beside it."""
