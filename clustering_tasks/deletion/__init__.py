"""Taking deleted documents out of a workspace: the step `forget`."""
