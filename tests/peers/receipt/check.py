"""Checks a receipt and the log it is from with nothing but Python's own library: a second reading of docs/audit.md.

    python3 check.py RECEIPT LOG...

The files of the log are given oldest first. Prints one JSON object, or fails with what does not hold.
"""

import base64
import hashlib
import json
import sys

# The curve P-256 (FIPS 186-4, D.1.2.3).
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def add(a, b):
    if a is None or b is None:
        return a or b
    (ax, ay), (bx, by) = a, b
    if ax == bx and (ay + by) % P == 0:
        return None
    if a == b:
        slope = (3 * ax * ax - 3) * pow(2 * ay, -1, P) % P
    else:
        slope = (by - ay) * pow(bx - ax, -1, P) % P
    x = (slope * slope - ax - bx) % P
    return x, (slope * (ax - x) - ay) % P


def times(factor, point):
    total = None
    while factor:
        if factor & 1:
            total = add(total, point)
        point = add(point, point)
        factor >>= 1
    return total


def unbase64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(text):
    return int.from_bytes(unbase64(text), "big")


def signed_by(jwt, jwk):
    """Whether a JWS (RFC 7515) with ES256 (RFC 7518 3.4) is signed by this key (RFC 7517)."""
    head, payload, signature = jwt.split(".")
    assert json.loads(unbase64(head))["alg"] == "ES256" and (jwk["kty"], jwk["crv"]) == ("EC", "P-256")
    raw = unbase64(signature)
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    if not (len(raw) == 64 and 0 < r < N and 0 < s < N):
        return False
    digest = int.from_bytes(hashlib.sha256(f"{head}.{payload}".encode()).digest(), "big")
    inverse = pow(s, -1, N)
    point = add(times(digest * inverse % N, G), times(r * inverse % N, (number(jwk["x"]), number(jwk["y"]))))
    return point is not None and point[0] % N == r


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def chain(files):
    """The lines of the log by their hashes, each following from the one before."""
    prev, lines = "0" * 64, {}
    for file in files:
        with open(file, "rb") as log:
            for line in log.read().splitlines():
                entry = json.loads(line)
                assert entry["seq"] == len(lines) + 1, f"{file}: entry {entry['seq']}"
                assert entry["prev"] == prev, f"{file}: entry {entry['seq']} does not follow"
                prev = sha256(line)
                lines[prev] = entry["seq"]
    return lines


def digest_of(detail):
    """In Auth0's schema it is one of the properties that the phone shows."""
    return detail.get("digest") or detail.get("properties", {}).get("digest", {}).get("value")


def main(receipt, *files):
    lines = chain(files)
    with open(receipt, encoding="utf-8") as file:
        receipt = json.load(file)
    texts = [receipt["entries"]["request"], receipt["entries"]["response"]]
    assert receipt["hashes"] == [sha256(text.encode()) for text in texts], "the hashes are of other lines"
    assert all(value in lines for value in receipt["hashes"]), "its lines are not in this log"
    asked, ended = (json.loads(text)["body"] for text in texts)
    call = {name: asked[name] for name in ("tool", "origin", "arguments")}
    canonical = json.dumps(call, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    digest = "sha-256:" + base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).decode().rstrip("=")
    assert digest == asked["digest"], "the digest is of another call"
    signed, approval = ended["approval"]["signed"], ended["approval"]
    assert len(signed) == len(receipt["tokens"]) > 0, "it holds no tokens"
    in_details = False
    for kept, token in zip(signed, receipt["tokens"]):
        assert sha256(token["jwt"].encode()) == kept["sha256"], "a token is another one than was kept"
        assert signed_by(token["jwt"], kept["jwk"]), "a signature is wrong"
        claims = json.loads(unbase64(token["jwt"].split(".")[1]))
        assert (claims["iss"], claims["sub"]) == (asked["actor"]["iss"], asked["actor"]["sub"]), "somebody else's token"
        assert (claims["iss"], claims["sub"]) == (approval["issuer"], approval["subject"])
        in_details |= any(digest_of(detail) == digest for detail in claims.get("authorization_details", []))
    print(json.dumps({"entries": len(lines), "seq": [lines[value] for value in receipt["hashes"]], "details": in_details}))


main(*sys.argv[1:])
