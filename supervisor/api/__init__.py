"""HTTP on sockets that it is handed: ECS JSON 1.1 at ``POST /``, and ``GET /v1/…`` for what ECS has no operation for.

``actions``  the closed table of operations
``sigv4``    signatures of AWS, verified; ``credentials`` has the keys
``guards``   who asks, and what they may
``door``     a listening socket, the connections that come in by it, and their limits
``server``   the application, and uvicorn to run it
"""
