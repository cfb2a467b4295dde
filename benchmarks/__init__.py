"""The benchmarks, a package each: `python -m benchmarks.pipeline`, and so on.

Read `skip_vs_keyset/` first. `candidates/` are the programs compared, `stub/` is the service they call, and
`common/` what all benchmarks share.
"""
