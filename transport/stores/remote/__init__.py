"""A `JournaledStore` whose data is in a server of any kind: flights, lease and calls."""
