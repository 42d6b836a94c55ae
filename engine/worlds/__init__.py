"""Generators of the small artificial worlds from which the bundled models learned."""
