"""Class tables, readers of label files (one file per family of formats), cleaning and completeness."""
