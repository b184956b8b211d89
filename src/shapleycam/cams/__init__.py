"""The table of methods, and how a derivative is spread over positions."""

from shapleycam.cams.table import METHODS, Method, method_of, methods

__all__ = ["METHODS", "Method", "method_of", "methods"]
