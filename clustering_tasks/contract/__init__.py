"""What is published, as types: the records of the JSONL and the events for Stage 5."""
