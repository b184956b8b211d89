"""Reports on an evaluation or on photographs: a single HTML file that needs no other files."""

from shapleycam.report.evaluation import render_runs
from shapleycam.report.map_reproducer import MapReproducer
from shapleycam.report.photographs import Page, make_pages, render_photographs

__all__ = ["MapReproducer", "Page", "make_pages", "render_photographs", "render_runs"]
