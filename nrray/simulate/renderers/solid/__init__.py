"""Shaded three-dimensional bodies under lamps, seen through a perspective camera; drawn by MuJoCo on OpenGL, no physics."""
