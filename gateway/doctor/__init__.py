"""Checks of a deployment with fixes: `e2i-gateway doctor`.

May use every room but ``cli``.
"""
