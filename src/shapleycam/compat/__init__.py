"""Interfaces of other libraries, so that a script runs with its import line changed."""
