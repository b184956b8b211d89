"""Interfaces of other libraries: a script for them runs after its import lines are changed."""
