"""What words say by themselves: names and what stands for them, English words of a class."""
