"""Parts that go wrong, as parts of `make gpu` may."""
