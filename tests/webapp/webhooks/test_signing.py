"""Signatures against the example that the Standard Webhooks libraries are tested with, and our secrets' form."""

from __future__ import annotations

import base64

from webapp.outbound import Secret
from webapp.webhooks.signing import secret_new, signature

# The vector of the specification's own libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
EXPECTED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_specifications_example():
    assert signature([Secret(SECRET)], MESSAGE, AT, BODY) == EXPECTED


def test_two_secrets_give_two_signatures_in_their_order():
    other = secret_new()
    both = signature([other, Secret(SECRET)], MESSAGE, AT, BODY)
    assert both.split(" ") == [signature([other], MESSAGE, AT, BODY), EXPECTED]


def test_everything_that_is_signed_changes_the_signature():
    key = Secret(SECRET)
    others = {
        signature([key], MESSAGE + "x", AT, BODY),
        signature([key], MESSAGE, AT + 1, BODY),
        signature([key], MESSAGE, AT, BODY + b" "),
        signature([secret_new()], MESSAGE, AT, BODY),
    }
    assert len(others) == 4
    assert EXPECTED not in others


def test_a_secret_is_32_bytes_under_the_prefix_and_does_not_show_itself():
    secret = secret_new()
    prefix, _sep, text = secret.reveal().partition("_")
    assert prefix == "whsec"
    assert len(base64.b64decode(text, validate=True)) == 32
    assert secret.reveal() not in repr(secret) + str(secret)
    assert secret_new().reveal() != secret.reveal()
