"""What a caller and an installation may choose, and the four levels."""
