"""The way to a speech service, which both of its halves share: address, connection, standby."""
