/* See memory_report.h. The allocator calls before the new memory can be touched, so the kernel's
 * killer, which strikes at a touch, comes after the report. */
#include "worker/stage/memory_report.h"

#include "common/protocol.h"
#include "worker/memory/tracked.h"

void memory_report_send(struct report *report) {
    struct tracked_peak peak;
    CLEANUP_JSON json_t *buffers = json_array();
    tracked_get_peak(&peak);
    if (peak.bytes == 0)
        return;
    for (size_t i = 0; i < peak.n_buffers && i < PROTOCOL_MEMORY_BUFFERS; i++)
        if (json_array_append_new(buffers, json_pack("{s:s,s:I}", "label", peak.buffers[i].label,
                                                     "bytes", (json_int_t)peak.buffers[i].bytes)))
            return; /* no memory to tell of memory: the report before it stands */
    /* a vanished supervisor ends its workers itself */
    (void)report_send(report,
                      json_pack("{s:s,s:I,s:s,s:O}", "event", "memory", "peak_bytes",
                                (json_int_t)peak.bytes, "stage", peak.stage, "buffers", buffers));
}

static void on_rise(void *context) { memory_report_send(context); }

void memory_report_watch(struct report *report) { tracked_watch(report ? on_rise : NULL, report); }
