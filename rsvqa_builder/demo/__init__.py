"""The painter of example scenes with exact labels."""
