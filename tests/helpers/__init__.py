"""Networks, games, evaluations and servers that several test files share."""
