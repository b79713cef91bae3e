"""Drivers run flows; transports carry requests. Nothing else in Qasid does I/O.

A *transport* has ``send(request) -> Response`` and ``close()``; that of the async driver has both
as coroutines. It raises `ConnectFailed` where the request never left, `NoAnswer` where it did and
no whole answer came, and `ProtocolError` for a reply over the cap.
"""
