"""What is wrong with a data set: answers that can be guessed without the image, and defects of boxes and images."""
