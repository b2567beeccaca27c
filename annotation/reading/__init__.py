"""What texts say and whether two say the same, told without a model."""
