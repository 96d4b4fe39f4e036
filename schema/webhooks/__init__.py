"""Webhooks in the graph: receivers and their messages, read and managed under a scope of their own.

Sending, and the limits of receivers, belong to the gateway, behind `WebhookManager`.
"""
