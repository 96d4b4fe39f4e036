"""Webhooks: changes and alerts, posted to receivers by the Standard Webhooks specification.

One process of all gateways of a database sends. It uses the live log, like subscriptions, and imports no transport.
"""
