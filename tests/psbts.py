"""PSBTs byte by byte, for tests that write what no library would."""

import base64
import io

import wallycore

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

# The keys and values of a PSBT: the global map first, then one map an input, then one an output.
Maps = list[list[tuple[bytes, bytes]]]


def maps_of(text: str) -> Maps:
    """The keys and values of a base64 PSBT, map by map."""
    stream = io.BytesIO(base64.b64decode(text))
    assert stream.read(5) == b"psbt\xff"
    found: Maps = []
    while stream.tell() < len(stream.getbuffer()):
        pairs = []
        while (length := _read_size(stream)) != 0:
            key = stream.read(length)
            pairs.append((key, stream.read(_read_size(stream))))
        found.append(pairs)
    return found


def text_of(maps: Maps) -> str:
    """The base64 PSBT of these maps, however wrong."""
    body = b"".join(
        b"".join(_size(len(key)) + key + _size(len(value)) + value for key, value in pairs) + b"\0"
        for pairs in maps
    )
    return base64.b64encode(b"psbt\xff" + body).decode()


def high_s(signature: bytes) -> bytes:
    """The other signature that is as valid, and that the network does not relay."""
    compact = bytes(wallycore.ec_sig_from_der(signature[:-1]))
    other = ORDER - int.from_bytes(compact[32:], "big")
    return bytes(wallycore.ec_sig_to_der(compact[:32] + other.to_bytes(32, "big"))) + signature[-1:]


def compact(signature: bytes) -> bytes:
    """The same signature as 64 bytes and its sighash, as taproot has them, and not DER."""
    return bytes(wallycore.ec_sig_from_der(signature[:-1])) + signature[-1:]


def _size(number: int) -> bytes:
    return bytes([number]) if number < 253 else b"\xfd" + number.to_bytes(2, "little")


def _read_size(stream: io.BytesIO) -> int:
    first = stream.read(1)[0]
    return first if first < 253 else int.from_bytes(stream.read(2), "little")
