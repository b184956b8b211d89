"""Estimates of each player's Shapley value. So far: the derivatives D with φ_j = Σ_k A_kj D_kj."""
