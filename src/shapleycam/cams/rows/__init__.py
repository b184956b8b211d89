"""The rows of the table of methods, a file for each family; their order here is the table's."""

from __future__ import annotations

from shapleycam.cams.rows.architectures import ARCHITECTURES
from shapleycam.cams.rows.channels import CHANNELS
from shapleycam.cams.rows.derivatives import DERIVATIVES
from shapleycam.cams.rows.factorisations import FACTORISATIONS
from shapleycam.cams.rows.masked_images import MASKED_IMAGES
from shapleycam.cams.rows.other_derivatives import OTHER_DERIVATIVES
from shapleycam.cams.rows.solution_concepts import SOLUTION_CONCEPTS

ROWS = (
    *DERIVATIVES,
    *SOLUTION_CONCEPTS,
    *FACTORISATIONS,
    *OTHER_DERIVATIVES,
    *CHANNELS,
    *MASKED_IMAGES,
    *ARCHITECTURES,
)
