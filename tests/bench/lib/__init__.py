"""What the scripts in tests/bench have in common."""
