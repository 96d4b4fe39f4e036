"""Webhooks: changes and alerts, posted to receivers by the Standard Webhooks specification.

One process among all gateways of a database sends. It reads the live log, like subscriptions, and imports no transport.
"""
