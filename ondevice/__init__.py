"""Put BERT-class models on the phone: distil, lower, verify, measure and embed."""

__version__ = "0.1.0"
