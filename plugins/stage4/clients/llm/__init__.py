"""Asking a language model with OpenAI's API for labels."""
