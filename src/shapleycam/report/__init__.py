"""Reports: one HTML file that stands alone, of an evaluation or of photographs."""

from shapleycam.report.evaluation import of_runs
from shapleycam.report.map_reproducer import MapReproducer
from shapleycam.report.photographs import Page, of_photographs, pages_of

__all__ = ["MapReproducer", "Page", "of_photographs", "of_runs", "pages_of"]
