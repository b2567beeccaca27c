"""People make questions of their own, and labels of what a model proposes, on the page for drawing."""
