"""What is asked and how a reply is read: prompts, letters, boxes."""
