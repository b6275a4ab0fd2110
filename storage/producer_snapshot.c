/* The producer state as a file: formats.md 4.1.
 *
 *     int16 version 1 | uint32 CRC-32C of all behind it | int32 count | count times 46 bytes:
 *     producer id 8, epoch 2, last sequence 4, last offset 8, offset delta 4, timestamp 8,
 *     coordinator epoch 4, first offset of the open transaction 8
 *
 * Of the remembered batches only the last is kept. */
#include "base/assert.h"
#include "base/crc32c.h"
#include "storage/producer_state.h"

enum { HEAD = 10, AT_CRC = 2, AT_COUNT = 6, ENTRY = 46, VERSION = 1 };

static void put_entry(struct buf *out, const struct producer *p)
{
    const struct producer_batch none = {
        .last_offset = -1, .timestamp = p->last_ts, .last_seq = -1, .delta = 0};
    const struct producer_batch *b = p->n ? &p->batch[p->n - 1] : &none;
    buf_put_be64(out, (uint64_t)p->id);
    buf_put_be16(out, (uint16_t)p->epoch);
    buf_put_be32(out, (uint32_t)b->last_seq);
    buf_put_be64(out, (uint64_t)b->last_offset);
    buf_put_be32(out, (uint32_t)b->delta);
    buf_put_be64(out, (uint64_t)p->last_ts);
    buf_put_be32(out, (uint32_t)p->coordinator_epoch);
    buf_put_be64(out, (uint64_t)p->txn_first);
}

void producer_snapshot_put(const struct producer_state *ps, struct buf *out)
{
    size_t at = out->len;
    buf_put_be16(out, VERSION);
    buf_put_be32(out, 0);
    buf_put_be32(out, (uint32_t)ps->map.count);
    map_for_each (slot, &ps->map) {
        put_entry(out, slot->value);
    }
    uint8_t *p = out->data + at;
    store_be32(p + AT_CRC, crc32c(0, p + AT_COUNT, out->len - at - AT_COUNT));
}

static void read_entry(const uint8_t *p, struct producer *out)
{
    *out = (struct producer){
        .id = (int64_t)load_be64(p),
        .epoch = (int16_t)load_be16(p + 8),
        .last_ts = (int64_t)load_be64(p + 26),
        .coordinator_epoch = (int32_t)load_be32(p + 34),
        .txn_first = (int64_t)load_be64(p + 38),
    };
    struct producer_batch b = {
        .last_seq = (int32_t)load_be32(p + 10),
        .last_offset = (int64_t)load_be64(p + 14),
        .delta = (int32_t)load_be32(p + 22),
        .timestamp = out->last_ts,
    };
    if (b.last_offset >= 0 && b.last_seq >= 0 && b.delta >= 0) {
        out->batch[0] = b;
        out->n = 1;
    }
}

int producer_snapshot_read(struct producer_state *ps, struct bytes text, int64_t now_ms,
                           int64_t expiration_ms)
{
    if (text.len < HEAD || load_be16(text.data) != VERSION) {
        return ERR_CORRUPT;
    }
    uint32_t count = load_be32(text.data + AT_COUNT);
    if (count > (text.len - HEAD) / ENTRY || text.len != HEAD + (size_t)count * ENTRY ||
        load_be32(text.data + AT_CRC) != crc32c(0, text.data + AT_COUNT, text.len - AT_COUNT)) {
        return ERR_CORRUPT;
    }
    producer_state_clear(ps);
    for (uint32_t i = 0; i < count; i++) {
        struct producer p;
        read_entry(text.data + HEAD + (size_t)i * ENTRY, &p);
        if (p.txn_first >= 0 || producer_idle_ms(&p, now_ms) < expiration_ms) {
            producer_commit(ps, &p, -1, -1);
        }
    }
    return 0;
}
