"""The programs that the pipeline benchmark compares: the engine, and what people use instead."""
