"""Datasets of photographs in common formats, and annotations of objects in them."""
