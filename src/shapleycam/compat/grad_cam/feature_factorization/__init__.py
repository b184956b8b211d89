"""pytorch-grad-cam's deep feature factorisation."""
