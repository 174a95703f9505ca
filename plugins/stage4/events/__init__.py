"""Events to receivers outside: what is noted of jobs, and how it is sent."""
