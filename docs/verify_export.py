"""Verifies an export of `steward audit export` without any of Steward's code: python verify_export.py FILE. The form: audit.md."""

import hashlib, json, sys
from base64 import urlsafe_b64decode
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

def sha(data): return hashlib.sha256(data).digest()
def b64(text): return urlsafe_b64decode(text + "=" * (-len(text) % 4))

keys, heads, seq, prev, peaks = {}, [], 0, b"\0" * 32, []          # peaks: (height, hash)
for number, line in enumerate(open(sys.argv[1], "rb"), 1):
    line = line.rstrip(b"\n")
    document = json.loads(line)
    if document["schema"] == "steward.key/1":
        keys[document["key"]["kid"]] = Ed25519PublicKey.from_public_bytes(b64(document["key"]["x"]))
    elif document["schema"] == "steward.head/1":
        signed, _, _ = line.rpartition(b',"signature":"')
        keys[document["key"]].verify(b64(document["signature"]), signed)      # raises when it is wrong
        if document["kind"] == "head":
            heads.append(document)
        elif document["seq"] > seq:                                            # the log begins after what was removed
            seq, prev = document["seq"], bytes.fromhex(document["hash"])
            bits = [bit for bit in range(63, -1, -1) if seq >> bit & 1]
            peaks = list(zip(bits, map(bytes.fromhex, document["peaks"])))
    elif document["schema"].startswith("steward.record/"):
        [link] = document["chain"]
        if link["seq"] <= seq: continue
        assert link["seq"] == seq + 1, f"line {number}: {link['seq']} follows {seq}"
        assert link["prev"] == prev.hex(), f"line {number - 1} was changed"
        seq, prev = link["seq"], sha(line)
        node = (0, sha(b"\0" + prev))
        while peaks and peaks[-1][0] == node[0]:
            node = (node[0] + 1, sha(b"\1" + peaks.pop()[1] + node[1]))
        peaks.append(node)
        for head in (head for head in heads if head["seq"] == seq):
            assert head["hash"] == prev.hex() and head["peaks"] == [peak.hex() for _, peak in peaks], f"line {number}"
last = max((head["seq"] for head in heads), default=0)
assert seq >= last, f"the end is cut off: {seq} of {last}"
print(f"{seq} records, {last} of them signed for with {list(keys)}")
