"""Reports: one HTML file that needs no others, of an evaluation or of photographs."""

from shapleycam.report.evaluation import render_runs
from shapleycam.report.map_reproducer import MapReproducer
from shapleycam.report.photographs import Page, make_pages, render_photographs

__all__ = ["MapReproducer", "Page", "make_pages", "render_photographs", "render_runs"]
