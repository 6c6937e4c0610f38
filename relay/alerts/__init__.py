"""The intake: the bytes of an alert to a Signal, or an error of one type, `AlertError`.

1. `authenticate.authenticates` with the header, the path and the signature, before anything is parsed;
2. `signal.read`: bytes to a `ParsedAlert` (its fields, the body's own secret, the digest of the bytes); where it raises
   AlertMalformed, `secret_among_bytes` may still authenticate the sender, and `redacted_text` is what is stored;
3. `authenticates` again, with the body's own secret;
4. `signal_from_stored`: the Signal, from what is stored and nothing else, now and after any restart; or AlertInvalid;
5. `identity_key`: by which the same alert is recognised when it comes again.
"""
