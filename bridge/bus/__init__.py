"""Many bridges as one, behind a load balancer: what they tell and ask each other over NATS."""
