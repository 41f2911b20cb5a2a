"""A small online shop: the domain code that both web apps share.

Nothing in this package knows a web framework. Money is whole cents, weights
are whole grams, and every failure a customer can cause is a ShopError that
carries its HTTP status.
"""
