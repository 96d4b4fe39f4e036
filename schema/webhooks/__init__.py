"""Webhooks in the graph: receivers and their messages, read and kept under a scope of their own.

Who sends them, and what may be asked of a receiver, is the gateway's to say: `WebhookManager`.
"""
