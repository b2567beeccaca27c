"""Review by people: the store of their decisions, the queue, the local server and its page."""
