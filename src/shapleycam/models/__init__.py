"""Which network, its preprocessing and labels; how an activation is laid out."""
