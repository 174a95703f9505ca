"""The answers, as OpenAPI describes them. What is not known is null."""
