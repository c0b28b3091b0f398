"""HTTP on sockets that it is handed: ECS JSON 1.1 at ``POST /``, and ``GET /v1/…`` for what ECS has no operation for.

``actions``  the closed table of operations
``server``   the application, and uvicorn to run it
"""
