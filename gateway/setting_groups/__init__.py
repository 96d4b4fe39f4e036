"""Groups of settings, a module each, which `gateway.settings` joins. Each setting has its default and description.

Uses roles and the types of settings.
"""
