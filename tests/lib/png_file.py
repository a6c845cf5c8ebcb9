"""Reads PNG files with nothing but the standard library: 8 bit grey or RGB, not interlaced."""
import struct
import zlib


class PngFile:
    def __init__(self, path):
        data = path.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n", f"{path}: no PNG signature"
        self.kinds, packed, at = [], b"", 8
        while at < len(data):
            length, kind = struct.unpack_from(">I4s", data, at)
            body = data[at + 8:at + 8 + length]
            crc = struct.unpack_from(">I", data, at + 8 + length)[0]
            assert crc == zlib.crc32(kind + body), f"{path}: wrong CRC of {kind}"
            if kind == b"IHDR":
                self.width, self.height, depth, colour, *rest = struct.unpack(">IIBBBBB", body)
                assert depth == 8 and colour in (0, 2) and rest == [0, 0, 0], f"{path}: {body}"
                self.channels = 3 if colour == 2 else 1
            packed += body if kind == b"IDAT" else b""
            self.kinds.append(kind.decode())
            at += 12 + length
        assert self.kinds[0] == "IHDR" and self.kinds[-1] == "IEND", f"{path}: {self.kinds}"
        self.rows = self._unfilter(zlib.decompress(packed))

    def _unfilter(self, raw):
        length, n = self.width * self.channels, self.channels
        assert len(raw) == (length + 1) * self.height, "length of the pixels"
        rows, above = [], bytes(length)
        for y in range(self.height):
            kind, *row = raw[y * (length + 1):(y + 1) * (length + 1)]
            row = bytearray(row)
            assert kind in (0, 1, 2), f"filter {kind}"
            if kind == 1:
                for i in range(n, length):
                    row[i] = (row[i] + row[i - n]) & 255
            elif kind == 2:
                row = bytearray((a + b) & 255 for a, b in zip(row, above))
            rows.append(row)
            above = row
        return rows

    def pixel(self, x, y):
        """(red, green, blue)"""
        if self.channels == 1:
            return (self.rows[y][x],) * 3
        return tuple(self.rows[y][3 * x:3 * x + 3])
