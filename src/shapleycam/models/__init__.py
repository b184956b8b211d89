"""Networks: where they come from, their preprocessing and labels, and the layouts of their activations."""
