"""How the models inside the package are made. The product imports nothing of it, and the wheel leaves it out."""
