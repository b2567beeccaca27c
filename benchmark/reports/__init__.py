"""Results as JSON, CSV, Markdown and HTML; comparisons and the leaderboard."""
