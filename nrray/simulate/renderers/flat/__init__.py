"""Shapes of one colour each."""
