/* What supervisor and worker say to each other.
 *
 * The worker gets one JSON object on stdin and reports JSON lines (at most PROTOCOL_LINE_BYTES with
 * the newline) on fd PROTOCOL_REPORT_FD; without that descriptor it reports to stdout, so that a
 * person can run it by hand. Text for people goes to stderr, which is the task's log.
 *
 * registrar-worker align, on stdin:
 *   {"v":1,"task":"S/D","attempt":1,"pre":"/abs","post":"/abs","out":"/abs/OUT/S/D",
 *    "params":{...},"threads":2,"memory_bytes":536870912,"sandbox":true,
 *    "shared":"/abs/OUT/S/D@shared", "variants":[{...}, ...]}
 *        shared only where variants of the pair run too; variants: params of those that are still
 *        to come and want the same aligned picture, at most PROTOCOL_MOST_VARIANTS
 * reports:
 *   {"event":"progress","stage":"survey","fraction":0.25,"memory_bytes":n}
 *        fraction is of the whole task, 0 to 1, never falling; memory_bytes is the tracked total
 *   {"event":"waiting","stage":"survey"}
 *        another process makes what this stage shares with it; it is taken when it is there
 *   {"event":"stage_end","stage":"survey","wall_s":1.5,"peak_bytes":n,"resumed":false}
 *        "shared":true where it, or a part of it, was taken from another process;
 *        of warp also "tiles":n,"tiles_resumed":n: all, and those that an earlier attempt made
 *   {"event":"memory","peak_bytes":n,"stage":"warp","buffers":[{"label":"...","bytes":n}, ...]}
 *        what stood in the tracked buffers when they held the most: when that has risen clearly,
 *        before the memory is touched, and as a stage ends; so the last one that came tells what
 *        stood there even when SIGKILL comes next. stage: in which it rose; buffers: the largest,
 *        at most PROTOCOL_MEMORY_BUFFERS
 *   {"event":"result","status":"aligned|doubtful|failed","reason":"...",
 *    "inputs":[{"path":"/abs","size":n,"mtime_ns":n,"hash":"32 hex"}, ...],
 *    "outputs":[{"name":"aligned_pre.tiff","size":n,"mtime_ns":n}, ...],
 *    "peak":{"bytes":n,"stage":"warp","buffers":[{"label":"...","bytes":n}, ...]}}
 *   {"event":"error","cause":"input|environment","reason":"one sentence"}
 *        input: the same files and parameters will fail again; environment: another try may work
 *   {"event":"blocked","call":"connect","number":42}
 *        its sandbox stopped this system call, and it is about to die of SIGSYS
 * and exits 0 after a result, PROTOCOL_EXIT_ERROR after an error, PROTOCOL_EXIT_STOPPED when
 * SIGTERM stopped it at a checkpoint, PROTOCOL_EXIT_USAGE for a task it cannot read.
 *
 * registrar-worker probe, on stdin: {"v":1,"files":["/abs", ...]}; reports per file, in order:
 *   {"event":"begin","index":0}
 *   {"event":"file","index":0,"width":w,"height":h,"samples":s,"bits":b,"size":n,"scratch":false,
 *    "block":196608,"stream":8388608}
 *        width and height as displayed; scratch: align will write a tiled copy of it;
 *        block: bytes decoded at a time for a small region, 0 when it is read from the file as it
 * is; stream: bytes of buffers while it is read from top to bottom
 *   {"event":"file","index":0,"error":"one sentence"}
 * registrar-worker hash takes the same and reports:
 *   {"event":"begin","index":0}
 *   {"event":"file","index":0,"size":n,"mtime_ns":n,"hash":"32 hex"}     or "error" as above
 * The hash is XXH3-128 of the file's bytes. Both may report "blocked", as align does.
 *
 * registrar-worker apply, on stdin, for an image:
 *   {"v":1,"transform":"/abs/transform.json","inverse":false,"image":"/abs","out":"/abs/folder",
 *    "params":{...},"threads":2,"memory_bytes":536870912,"sandbox":true}
 * and writes out/image.tiff; of params interpolation, compression and pad count. For points:
 *   {"v":1,"transform":"/abs/transform.json","inverse":false,"points":"its name","columns":"x,y",
 *    "sandbox":true}
 * where the table is read from fd PROTOCOL_INPUT_FD and written to stdout. It reports as align
 * does; its result has also "pre_size" and "post_size"; for an image "width", "height" and
 * "covered", a share; for points the counts of worker/apply/apply_points.h.
 *
 * A command task gets no stdin. It may report progress and memory lines in the same way: its
 * environment has REGISTRAR_REPORT_FD=3, REGISTRAR_TASK (the id) and PROTOCOL_TOKEN_VARIABLE.
 *
 * PROTOCOL_TOKEN_VARIABLE stands in the environment of every child as "<ledger's id>:<attempt's own
 * name>". Whatever carries a ledger's id while nobody holds that ledger's lock was left behind by a
 * killed supervisor: the next start finds it so, and ends it.
 */
#ifndef COMMON_PROTOCOL_H
#define COMMON_PROTOCOL_H

#define PROTOCOL_TOKEN_VARIABLE "REGISTRAR_ATTEMPT"
#define PROTOCOL_IMAGE_NAME "image.tiff"     /* what apply writes */
#define PROTOCOL_SCRATCH_NAME "scratch.tiff" /* its tiled copy of an image that needs one */

enum {
    PROTOCOL_VERSION = 1,
    PROTOCOL_REPORT_FD = 3,
    PROTOCOL_INPUT_FD = 4,
    PROTOCOL_LINE_BYTES = 64 * 1024,
    PROTOCOL_MEMORY_BUFFERS = 8,
    PROTOCOL_MOST_VARIANTS = 8,
    PROTOCOL_NAME_BYTES = 64, /* of a stage or a label */
    PROTOCOL_CALL_BYTES = 32, /* of a system call's name */
    PROTOCOL_EXIT_ERROR = 1,
    PROTOCOL_EXIT_USAGE = 2,
    PROTOCOL_EXIT_STOPPED = 75, /* EX_TEMPFAIL of sysexits.h */
};

#endif
