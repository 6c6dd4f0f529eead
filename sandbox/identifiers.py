"""Identifiers that look random and are derived from a seed."""

_MASK_64 = (1 << 64) - 1
_MASK_48 = (1 << 48) - 1
_FACTOR = 0x5DEECE66D  # odd: no two numbers have the same last digits


def mix(value: int) -> int:
    """Hash `value` to 64 bits (splitmix64)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK_64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return value ^ (value >> 31)


def mix_text(seed: int, text: str) -> int:
    """Return a 64-bit number from a seed and a text, the same in every process (unlike `hash`)."""
    value = mix(seed)
    for byte in text.encode():
        value = mix(value ^ byte)
    return value


class Identifiers:
    """The identifiers of one kind of thing (`"envelope"`, ...)."""

    def __init__(self, seed: int, kind: str) -> None:
        self._salt = mix_text(seed, kind)

    def hexadecimal(self, number: int) -> str:
        """Return 32 hexadecimal digits for `number` (0 to 2^48 - 1)."""
        head = mix(self._salt ^ number)
        middle = mix(head) & 0xFFFF
        tail = (number * _FACTOR + self._salt) & _MASK_48
        return f"{head:016x}{middle:04x}{tail:012x}"

    def uuid(self, number: int) -> str:
        """Return a version 4 UUID in 36 characters."""
        digits = self.hexadecimal(number)
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
