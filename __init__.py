"""From your own GeoTIFFs to a remote-sensing VQA data set, a model that reads 8K images, and a score.

The root of the repository is this package: its folders are `rsvqa.annotation`, `rsvqa.rsvqa_builder`, `rsvqa.model`
and `rsvqa.benchmark`, and `rsvqa.cli` is the command line. Importing it imports nothing else.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
