"""The Train screen."""
