"""nrray: label video archives with local vision-language models, distributed on Ray."""

__version__ = "0.1.0"
