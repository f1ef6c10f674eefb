"""`nrray probe`: what a model claims where there is nothing to see, and how it contradicts itself."""
