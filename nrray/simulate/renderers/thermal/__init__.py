"""The thermal renderer: the scene as a thermal camera sees it, by ray casting of ellipsoids and capsules. Lengths are in
centimetres, temperatures in degrees Celsius; the newborn lies on its back at the world's origin, x from head to feet, z up."""
