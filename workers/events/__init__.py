"""Words: what a delivery says, what changed on a ticket, whose row is whose. Pure."""
