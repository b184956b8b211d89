"""The rows of the table of metrics, with one file for each family."""
