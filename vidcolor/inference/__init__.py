"""A trained network at work: model files, the devices it runs on, and the way from luma to chroma and back."""
