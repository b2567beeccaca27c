"""What lies beside the shards: card, statistics, report, preview."""
