"""What all benchmarks share: documents, a mongod, processes, progress and result files."""
