"""Compares the engine with what people use instead, from MongoDB through a service and back."""
