"""Class tables, readers of label files (one file a family of formats), cleaning and completeness."""
