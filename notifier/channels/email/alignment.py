"""Whether a signature's domain is aligned with From, as DMARC's relaxed mode means it (RFC 7489 §3.1.1).

That mode compares organisational domains, which are defined by the Public Suffix List. It is neither shipped nor
downloaded here: a domain and those below it are one organisation, and else the last two labels name it, or three when
the last two are of the kind ``co.uk``. Suffixes of other kinds (``github.io``) are taken for organisations.
"""

from __future__ import annotations

#: Second labels under which registries sell names, before the two letters of a country.
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "go", "gob", "gov", "gv", "ne", "net", "nom", "or", "org", "sch"})


def aligned(sender: str, signer: str) -> bool:
    """Whether mail from ``sender``, a domain, may be vouched for by ``signer``, another."""
    sender, signer = sender.lower(), signer.lower()
    if sender == signer or sender.endswith(f".{signer}") or signer.endswith(f".{sender}"):
        return True
    return _organisation(sender) == _organisation(signer)


def _organisation(domain: str) -> str:
    labels = domain.split(".")
    is_suffix = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
    return ".".join(labels[-3 if is_suffix else -2 :])
