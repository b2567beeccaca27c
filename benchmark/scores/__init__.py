"""What is right, and the figures, with their intervals."""
