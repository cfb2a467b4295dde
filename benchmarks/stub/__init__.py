"""A NER service that answers by rule, with the capacity and the faults that a benchmark asks for."""
