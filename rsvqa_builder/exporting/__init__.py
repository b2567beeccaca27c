"""A data set in other programs' formats: trainers' conversations, tables of benchmarks, boxes, catalogues."""
