"""Smooth, textured, lit bodies in a room, drawn by VTK without a display."""
