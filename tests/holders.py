"""People who hold the key of an address, in software: they sign messages as wallets do."""

import base64
import hashlib

import wallycore

from payments.onchain import address, message, network, signature, tx


class Holder:
    """Somebody with one key."""

    def __init__(self, name: str) -> None:
        self.secret = hashlib.sha256(f"holder {name}".encode()).digest()
        self.public = bytes(wallycore.ec_public_key_from_private_key(self.secret))
        self.p2wpkh = b"\x00\x14" + bytes(wallycore.hash160(self.public))
        self.p2pkh = b"\x76\xa9\x14" + bytes(wallycore.hash160(self.public)) + b"\x88\xac"

    @property
    def address(self) -> str:
        """The address of the key's segwit script."""
        return address.address_from_script(self.p2wpkh, network.current())

    def sign(self, text: str) -> str:
        """Return a BIP-322 signature for the segwit address."""
        found = tx.read(message.to_sign(self.p2wpkh, text.encode()))
        code = signature.p2wpkh_script_code(self.public)
        digest = signature.digest_of(found, 0, amount_sat=0, script_code=code)
        signed = wallycore.ec_sig_from_bytes(
            self.secret, digest, wallycore.EC_FLAG_ECDSA | wallycore.EC_FLAG_GRIND_R
        )
        stack = [bytes(wallycore.ec_sig_to_der(signed)) + b"\x01", self.public]
        witness = bytes([len(stack)]) + b"".join(bytes([len(item)]) + item for item in stack)
        return base64.b64encode(witness).decode()

    def sign_legacy(self, text: str, *, head: int | None = None) -> str:
        """Return a signature from before BIP-322, with another first byte if one is given."""
        flags = wallycore.EC_FLAG_ECDSA | wallycore.EC_FLAG_RECOVERABLE
        raw = bytes(wallycore.ec_sig_from_bytes(self.secret, message.legacy_digest(text.encode()), flags))
        first = raw[0] if head is None else head + (raw[0] - 27) % 4
        return base64.b64encode(bytes([first]) + raw[1:]).decode()
