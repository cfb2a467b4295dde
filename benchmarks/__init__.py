"""The benchmarks, one package each, run for example by `python -m benchmarks.pipeline`.

Read `skip_vs_keyset/` first. `candidates/` contains the programs that are compared, `stub/` the service that
they call, and `common/` what all benchmarks share.
"""
