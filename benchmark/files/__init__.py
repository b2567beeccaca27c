"""What a benchmark run reads and keeps: data sets, images, stored replies, the run's record."""
