"""Checks a deployment from the inside and says what to fix: `e2i-gateway doctor`.

May use every room but ``cli``.
"""
