# The commands of daily work; `just` lists them.

_:
    @just --list --unsorted

# everything that must hold before a change lands
check:
    tests/run

# only the tests whose names contain …
test *names:
    tests/run {{ names }}

# simulated cameras, recorder and pages
demo *args:
    cargo run --release -- demo {{ args }}

# the benchmarks, beside the peers; see docs/bench.md
bench *args:
    tests/bench/run {{ args }}

# known holes in dependencies (fetches the advisory database)
advisories:
    cargo deny check advisories
