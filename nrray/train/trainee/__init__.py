"""What is trained: a module for each kind of model."""
