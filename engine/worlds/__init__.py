"""The small worlds that the bundled data is made from."""
