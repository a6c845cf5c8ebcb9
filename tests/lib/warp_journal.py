"""The warp's journal, read from outside (worker/output/tile_journal.h): which tiles are finished."""
import struct

HEAD_BYTES, RECORD_BYTES = 152, 16


def journal(out):
    """The tiles that the journal of a task's folder names."""
    path = out / "checkpoints" / "warp.journal"
    if not path.exists():
        return []
    records = path.read_bytes()[HEAD_BYTES:]
    return [struct.unpack_from("<I", records, at)[0]
            for at in range(0, len(records) - RECORD_BYTES + 1, RECORD_BYTES)]
