"""Several processes of one bridge at one port: each carries calls, and the first keeps house for all of them."""
