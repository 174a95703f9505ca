"""What people read of a cluster: keywords, label, representatives, records."""
