"""Runners: how a step becomes a process or a container."""
