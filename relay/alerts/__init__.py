"""The intake: the bytes of an alert to a Signal, or an error of one type, `AlertError`.

1. `proves_sender` with the header, the path and the signature, before anything is parsed;
2. `read`: bytes to what is kept of them (`ParsedAlert.fields`), the body's own secret, and the digest of the bytes;
   where it raises AlertMalformed, `secret_among_bytes` may still prove the sender, and `redacted_text` is what is kept;
3. `proves_sender` again, with the body's own secret;
4. `signal_from_kept`: the Signal, from what is kept and nothing else, now and after any restart; or AlertInvalid;
5. `identity_key`: by what the alert is known again.
"""

from __future__ import annotations

from relay.alerts.authenticate import Credentials, proves_sender, secret_among_bytes, without_secrets
from relay.alerts.identity import digest, identity_key
from relay.alerts.kept import ParsedAlert, read, redacted_text
from relay.alerts.signal import signal_from_kept

__all__ = [
    "Credentials",
    "ParsedAlert",
    "digest",
    "identity_key",
    "redacted_text",
    "proves_sender",
    "read",
    "secret_among_bytes",
    "signal_from_kept",
    "without_secrets",
]
