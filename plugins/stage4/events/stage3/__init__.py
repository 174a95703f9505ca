"""Events of Stage 3: how they come in, and which runs they start."""
