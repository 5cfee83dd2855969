"""Both gateways imitated over real HTTP, with a durable truth of their own and faults on demand."""
