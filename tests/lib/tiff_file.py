"""Reads TIFF files with nothing but the standard library: what tests compare with.

Classic and BigTIFF, either byte order, strips or tiles, contiguous or planar, uncompressed or
deflate, with the horizontal predictor too; 8, 16 and 32 bit, whole, signed and float; order as on
disk. The first image, and from there the others and the reduced ones. Gives files further tags, too.
"""
import mmap
import struct
import zlib

_TYPES = {1: "B", 2: "c", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 16: "Q",
          13: "I", 17: "q", 18: "Q"}


class TiffFile:
    """offset: of the image's directory; the first one's when it is not given."""

    def __init__(self, path, offset=None):
        self.path = path
        with open(path, "rb") as file:
            self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.order = {b"II": "<", b"MM": ">"}[self.bytes[:2]]
        self.is_big = self._get("H", 2) == 43
        self.offset = offset or (self._get("Q", 8) if self.is_big else self._get("I", 4))
        self.tags = self._read_ifd(self.offset)
        self.width, self.height = self.tag(256), self.tag(257)
        self.bits, self.samples = self.tag(258), self.tag(277, 1)
        self.orientation, self.compression = self.tag(274, 1), self.tag(259, 1)
        self.planar, self.is_tiled = self.tag(284, 1) == 2, 322 in self.tags
        self.sample_format = self.tag(339, 1)
        self.block_width = self.tag(322, self.width)
        self.block_height = self.tag(323) if self.is_tiled else min(self.tag(278, 1 << 32),
                                                                    self.height)
        self._blocks = {}

    def tag(self, number, default=None):
        return self.tags[number][0] if number in self.tags else default

    def images(self):
        """This one and those that follow in the chain."""
        count_kind, size, start = ("Q", 20, 8) if self.is_big else ("H", 12, 2)
        image, found = self, []
        while image:
            found.append(image)
            end = image.offset + start + size * self._get(count_kind, image.offset)
            following = self._get("Q" if self.is_big else "I", end)
            image = TiffFile(self.path, following) if following else None
        return found

    def levels(self):
        """This one and its reduced ones."""
        return [self] + [TiffFile(self.path, offset) for offset in self.tags.get(330, ())]

    def text(self, number):
        """Of a tag of characters; None when it is not there."""
        return b"".join(self.tags[number])[:-1].decode() if number in self.tags else None

    def rational(self, number):
        """None when it is not there."""
        if number not in self.tags:
            return None
        return self.tags[number][0] / self.tags[number][1]

    def _get(self, kind, offset, count=None):
        values = struct.unpack_from(f"{self.order}{count or 1}{kind}", self.bytes, offset)
        return values if count else values[0]

    def _read_ifd(self, offset):
        count_kind, size, start, slot = ("Q", 20, 8, 8) if self.is_big else ("H", 12, 2, 4)
        tags = {}
        for i in range(self._get(count_kind, offset)):
            entry = offset + start + size * i
            number, kind = self._get("H", entry, 2)
            count = self._get("Q" if self.is_big else "I", entry + 4)
            if kind == 5:  # a fraction: two numbers
                kind, count = 4, 2 * count
            if kind not in _TYPES:
                continue
            value = entry + size - slot
            if count * struct.calcsize("=" + _TYPES[kind]) > slot:
                value = self._get("Q" if self.is_big else "I", value)
            tags[number] = self._get(_TYPES[kind], value, count)
        return tags

    def _block(self, index):
        if index not in self._blocks:
            if len(self._blocks) > 64:
                self._blocks.clear()
            offsets = self.tags[324 if self.is_tiled else 273]
            counts = self.tags[325 if self.is_tiled else 279]
            data = self.bytes[offsets[index]:offsets[index] + counts[index]]
            if self.compression in (8, 32946):
                data = zlib.decompress(data)
            elif self.compression != 1:
                raise ValueError(f"compression {self.compression}")
            if self.tag(317, 1) == 2:
                data = self._undo_predictor(data)
            kind = {1: {8: "B", 16: "H", 32: "I"}, 2: {8: "b", 16: "h", 32: "i"},
                    3: {32: "f"}}[self.sample_format][self.bits]
            self._blocks[index] = memoryview(data) if kind == "B" else struct.unpack(
                f"{self.order}{len(data) * 8 // self.bits}{kind}", data)
        return self._blocks[index]

    def _undo_predictor(self, data):
        """Sums along rows; whole numbers only."""
        kind, step = {8: "B", 16: "H"}[self.bits], 1 if self.planar else self.samples
        row, mask = self.block_width * step, (1 << self.bits) - 1
        values = list(struct.unpack(f"{self.order}{len(data) * 8 // self.bits}{kind}", data))
        for start in range(0, len(values), row):
            for i in range(start + step, min(start + row, len(values))):
                values[i] = (values[i] + values[i - step]) & mask
        return struct.pack(f"{self.order}{len(values)}{kind}", *values)

    def pixel(self, x, y, sample=0):
        across = -(-self.width // self.block_width)
        down = -(-self.height // self.block_height)
        index = y // self.block_height * across + x // self.block_width
        inside = y % self.block_height * self.block_width + x % self.block_width
        if self.planar:
            return self._block(sample * across * down + index)[inside]
        return self._block(index)[inside * self.samples + sample]

    def linear(self, x, y, sample=0):
        """Bilinear between pixel centres; None outside."""
        left, top = int(x // 1), int(y // 1)
        if left < 0 or top < 0 or left + 1 >= self.width or top + 1 >= self.height:
            return None
        u, v = x - left, y - top
        upper = self.pixel(left, top, sample) * (1 - u) + self.pixel(left + 1, top, sample) * u
        lower = (self.pixel(left, top + 1, sample) * (1 - u) +
                 self.pixel(left + 1, top + 1, sample) * u)
        return upper * (1 - v) + lower * v


def add_tags(path, tags):
    """Gives the first image of a classic TIFF more tags, or others: {number: text, int (a SHORT) or
    float (a RATIONAL)}. Its directory is written anew behind everything else."""
    data = bytearray(open(path, "rb").read())
    order = {b"II": "<", b"MM": ">"}[bytes(data[:2])]
    old = struct.unpack_from(order + "I", data, 4)[0]
    count = struct.unpack_from(order + "H", data, old)[0]
    entries = {struct.unpack_from(order + "H", data, old + 2 + 12 * i)[0]:
               bytes(data[old + 2 + 12 * i:old + 14 + 12 * i]) for i in range(count)}
    following = bytes(data[old + 2 + 12 * count:old + 6 + 12 * count])
    for number, value in tags.items():
        if isinstance(value, int):
            entries[number] = struct.pack(order + "HHIHH", number, 3, 1, value, 0)
            continue
        data += b"\0" * (len(data) % 2)
        if isinstance(value, str):
            value = value.encode() + b"\0"
            entries[number] = struct.pack(order + "HHII", number, 2, len(value), len(data))
        else:
            value = struct.pack(order + "II", round(value * 10000), 10000)
            entries[number] = struct.pack(order + "HHII", number, 5, 1, len(data))
        data += value.ljust(8, b"\0")
    data += b"\0" * (len(data) % 2)
    struct.pack_into(order + "I", data, 4, len(data))
    data += struct.pack(order + "H", len(entries))
    data += b"".join(entries[number] for number in sorted(entries)) + following
    with open(path, "wb") as file:
        file.write(data)
