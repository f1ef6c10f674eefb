"""How a model is made to label: a class for each way, behind `Labeler`."""
