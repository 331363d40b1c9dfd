"""A stand-in for the Quivo API on this machine: real HTTP, invented orders, faults on demand.

    with StandIn(orders=300, faults={100007: [Fault.status(503)]}) as api:
        ...  # a client with api.base_url, api.api_key, api.username, api.password

Floor 3. Its rooms: drawing and life (orders), faults, chaos and chance (what goes wrong), limits, search (GET /orders),
server (the rules), sending (bytes), serving (sockets).
"""
