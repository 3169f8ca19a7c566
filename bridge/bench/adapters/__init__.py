"""Programs of others under the same load: see `bridge.bench.systems`. The bridge imports none of them."""
