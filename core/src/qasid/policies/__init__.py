"""What stands between an account's operation and its provider's flow, each a flow over a flow."""
