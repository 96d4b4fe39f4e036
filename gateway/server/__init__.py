"""The processes: uvicorn on bound sockets, its HTTP protocol, workers.

May use every room but ``cli``.
"""
