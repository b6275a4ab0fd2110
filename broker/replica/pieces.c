#include "broker/replica/pieces.h"

#include "broker/partition_manager.h"
#include "proto/record_batch.h"
#include "storage/log.h"

const char *pieces_split(struct partition_manager *pm, struct bytes records, int32_t epoch_max,
                         struct pieces *out)
{
    struct bytes batch;
    int got;
    *out = (struct pieces){0};
    while ((got = batch_next(&records, &batch)) == 1) {
        struct batch_header h;
        if (batch_header_read(batch, &h) || h.last_offset_delta < 0) {
            return "a batch's header does not hold together, or is of an old format";
        }
        if (!batch_crc_check(batch)) {
            return "a batch has a wrong checksum";
        }
        if (h.leader_epoch > epoch_max) {
            out->ahead = true;
            return NULL;
        }
        if (out->n == 0) {
            out->base = h.base_offset;
            out->last = batch_last_offset(&h);
        }
        struct plog_batch *b = partition_scratch(pm, out->n++);
        *b = (struct plog_batch){.data = (uint8_t *)(uintptr_t)batch.data,
                                 .len = (uint32_t)batch.len};
        out->bytes += batch.len;
    }
    if (got < 0) {
        return "bytes that are no batch";
    }
    return out->n == 0 && records.len ? "not even one batch is whole" : NULL;
}
