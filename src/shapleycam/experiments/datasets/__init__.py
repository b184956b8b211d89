"""Datasets of photographs, whatever they are kept in, and where the objects are on them."""
