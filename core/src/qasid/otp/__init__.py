"""One-time passwords of your own product: sent, limited, and verified once.

A `Verifier` works over any account or route. Providers that hold the code (they have `otp` and
`verify_otp`) and providers that only send are used alike; what is counted, and what a code is good
for, is decided here. Behind the extra ``qasid[journal]``, as it is kept in the journal's database.

==================  ===========================================================================
`rules`             how codes are made, how often they are sent, and to whom
`texts`             what a code stands in: your text, or a template that the provider holds
`digests`           the key, and what is kept instead of codes, recipients and callers
`limits`            which of the rules says no, by what the database tells
`store`             codes, guesses and pauses, each decision in one transaction
`flows`             what a verifier does, as flows over the operations of accounts
`faces`             `Verifier` and `AsyncVerifier`
==================  ===========================================================================
"""

from __future__ import annotations

try:
    import sqlalchemy as _sqlalchemy  # noqa: F401
except ImportError:
    raise ImportError('qasid.otp needs SQLAlchemy; run: pip install "qasid[journal]"') from None

from qasid.otp.digests import own_key
from qasid.otp.faces import AsyncVerifier, Verifier
from qasid.otp.flows import Issued, Step
from qasid.otp.rules import Cap, Conversion, Reason, Rules
from qasid.otp.texts import CodeTemplate, CodeText

__all__ = [
    "AsyncVerifier",
    "Cap",
    "CodeTemplate",
    "CodeText",
    "Conversion",
    "Issued",
    "Reason",
    "Rules",
    "Step",
    "Verifier",
    "own_key",
]
