"""The processes: uvicorn on sockets that are bound already, its HTTP protocol, workers.

May use every room but ``cli``.
"""
