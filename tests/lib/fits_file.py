"""Reads FITS files with nothing but the standard library: the primary array of FITS Standard 4.0,
8 and 16 bit unsigned (by BZERO) and float."""
import struct

BLOCK = 2880


class FitsFile:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = file.read()
        self.cards, self.history, self.comments = {}, [], []
        at, name = 0, None
        while True:
            card = self.bytes[at:at + 80].decode("ascii")
            at += 80
            if card.rstrip() == "END":
                break
            if card.startswith("HISTORY "):
                self.history.append(card[8:].rstrip())
            elif card.startswith("COMMENT "):
                self.comments.append(card[8:].rstrip())
            elif card.startswith("CONTINUE"):
                self.cards[name] = self.cards[name][:-1] + self._value(card[10:])
            elif card[8:10] == "= ":
                name = card[:8].rstrip()
                self.cards[name] = self._value(card[10:])
        self.data = -(-at // BLOCK) * BLOCK
        self.width, self.height = self.cards["NAXIS1"], self.cards["NAXIS2"]
        self.samples = self.cards.get("NAXIS3", 1)
        self.bits = abs(self.cards["BITPIX"])
        self._kind = {8: ">B", 16: ">h", -32: ">f"}[self.cards["BITPIX"]]
        self._zero = int(self.cards.get("BZERO", 0))

    def _value(self, text):
        text = text.strip()
        if text.startswith("'"):
            return text[1:].replace("''", "\0").partition("'")[0].replace("\0", "'").rstrip()
        text = text.partition("/")[0].strip()
        return {"T": True, "F": False}.get(text) if text in "TF" else \
            float(text) if set(text) & set(".E") else int(text)

    def pixel(self, x, y, sample=0):
        index = (sample * self.height + y) * self.width + x
        return struct.unpack_from(self._kind, self.bytes, self.data + index * self.bits // 8)[0] + \
            self._zero

    def data_bytes(self):
        """Of the array, without what fills the last block."""
        return self.width * self.height * self.samples * self.bits // 8

    def sum(self, start=0):
        """Ones' complement of all words from there on; a whole file's is 0 or all ones."""
        total = sum(struct.unpack(f">{(len(self.bytes) - start) // 4}I", self.bytes[start:]))
        while total >> 32:
            total = (total & 0xffffffff) + (total >> 32)
        return total
