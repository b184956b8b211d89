"""Datasets of photographs in any of the usual forms, and annotations of where the objects are on them."""
