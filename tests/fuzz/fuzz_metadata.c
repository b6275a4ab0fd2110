/* Input: a byte of choices, then pieces of `__cluster_metadata`: two bytes and what they announce.
 * Of the two, the low ten bits are a length, then
 *
 *   bit 15 the batch ends behind this piece, 14 it is a control record (its type is the first
 * byte), 13 it is raw bytes, fed as they are.
 *
 * Choices: bit 0 the pieces are a snapshot's, bit 1 it is fed byte by byte.
 *
 * Demanded: a sentence where the stream is refused; an image that was made can be written as a
 * snapshot, which loads again and gives the same snapshot. */
#include "base/assert.h"
#include "controller/loader.h"
#include "proto/record_batch.h"
#include "proto_messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SNAPSHOT = 1, CRUMBS = 2 };
enum { ENDS = 1 << 15, CONTROL = 1 << 14, RAW = 1 << 13, LENGTH = (1 << 10) - 1 };

/* Batches being made of pieces. */
struct maker {
    struct batch_builder b;
    int64_t next; /* offset */
    struct buf out;
};

static void make_begin(struct maker *m, bool control)
{
    struct batch_options o = BATCH_OPTIONS_DEFAULT;
    o.base_offset = m->next;
    o.leader_epoch = 1;
    o.control = control;
    batch_builder_init(&m->b, &o);
}

static void make_end(struct maker *m)
{
    m->next += m->b.count;
    if (m->b.count) {
        int rv = batch_builder_finish(&m->b, &m->out);
        ASSERT(rv == 0);
    }
}

static void make_record(struct maker *m, bool control, struct bytes value)
{
    if (control != m->b.opt.control) {
        make_end(m);
        make_begin(m, control);
    }
    if (control) {
        enum control_type type = value.len ? (enum control_type)(value.data[0] % 8) : 0;
        value = value.len ? bytes_of(value.data + 1, value.len - 1) : value;
        batch_builder_add_control(&m->b, 0, type, value);
    } else {
        batch_builder_add(&m->b, 0, BYTES_NULL, value, NULL, 0);
    }
}

static void make(struct maker *m, struct bytes in)
{
    make_begin(m, false);
    while (in.len >= 2) {
        unsigned head = load_be16(in.data);
        size_t n = head & LENGTH;
        n = n < in.len - 2 ? n : in.len - 2;
        struct bytes piece = bytes_of(in.data + 2, n);
        in = bytes_of(piece.data + n, in.len - 2 - n);
        if (head & RAW) {
            make_end(m);
            buf_put(&m->out, piece.data, piece.len);
        } else {
            make_record(m, (head & CONTROL) != 0, piece);
        }
        if (head & (ENDS | RAW)) {
            if (!(head & RAW)) {
                make_end(m);
            }
            make_begin(m, false);
        }
    }
    make_end(m);
}

static int feed_snapshot(struct loader *l, struct bytes in, size_t step, struct errmsg *em)
{
    int rv = 0;
    loader_snapshot_begin(l, 1000, 3);
    while (rv == 0 && in.len) {
        size_t n = in.len < step ? in.len : step;
        rv = loader_snapshot_feed(l, bytes_of(in.data, n), em);
        in = bytes_of(in.data + n, in.len - n);
    }
    rv = rv ? rv : loader_snapshot_end(l, em);
    if (rv) {
        loader_snapshot_abandon(l);
    }
    return rv;
}

static void put_control(struct buf *out, int64_t offset, enum control_type type,
                        const struct proto_message *m, const void *msg)
{
    struct batch_builder b = {0};
    struct batch_options o = BATCH_OPTIONS_DEFAULT;
    struct buf value = {0};
    struct errmsg em;
    o.base_offset = offset;
    o.control = true;
    int rv = proto_encode(m, 0, msg, &value, &em);
    ASSERT(rv == 0);
    batch_builder_init(&b, &o);
    batch_builder_add_control(&b, 0, type, buf_bytes(&value));
    rv = batch_builder_finish(&b, out);
    ASSERT(rv == 0);
    batch_builder_free(&b);
    buf_free(&value);
}

static void write_snapshot(const struct image *img, struct buf *out)
{
    const struct snapshot_header_record header = {0};
    const struct snapshot_footer_record footer = {0};
    struct batch_builder b = {0};
    struct batch_options o = BATCH_OPTIONS_DEFAULT;
    struct image_writer w;
    struct buf record = {0};
    put_control(out, 0, CONTROL_SNAPSHOT_HEADER, &snapshot_header_record_msg, &header);
    o.base_offset = 1;
    batch_builder_init(&b, &o);
    image_writer_init(&w, img);
    while (image_writer_next(&w, &record)) {
        batch_builder_add(&b, 0, BYTES_NULL, buf_bytes(&record), NULL, 0);
        buf_clear(&record);
    }
    int64_t n = b.count;
    if (n) {
        int rv = batch_builder_finish(&b, out);
        ASSERT(rv == 0);
    }
    put_control(out, 1 + n, CONTROL_SNAPSHOT_FOOTER, &snapshot_footer_record_msg, &footer);
    batch_builder_free(&b);
    buf_free(&record);
}

static void publish(struct loader *l)
{
    struct image_delta *d;
    if (loader_publish(l, &d)) {
        ASSERT(d->image == loader_image(l));
        image_delta_put(d);
    }
}

/* Writes img, loads what was written, and writes that into again. */
static void second_trip(const struct image *img, struct buf *once, struct buf *again)
{
    struct errmsg em = {""};
    struct loader *l = loader_new();
    write_snapshot(img, once);
    int rv = feed_snapshot(l, buf_bytes(once), once->len, &em);
    ASSERT(rv == 0);
    publish(l);
    write_snapshot(loader_image(l), again);
    loader_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct maker m = {0};
    struct errmsg em = {""};
    struct loader *l = loader_new();
    m.next = 0;
    make(&m, bytes_of(data + 1, size - 1));
    int rv = data[0] & SNAPSHOT
                 ? feed_snapshot(l, buf_bytes(&m.out), data[0] & CRUMBS ? 1 : 4096, &em)
                 : loader_feed(l, buf_bytes(&m.out), &em);
    ASSERT(rv == 0 || em.text[0] != 0);
    if (rv == 0) {
        struct buf once = {0};
        struct buf again = {0};
        publish(l);
        second_trip(loader_image(l), &once, &again);
        ASSERT(once.len == again.len);
        buf_free(&once);
        buf_free(&again);
    }
    loader_free(l);
    batch_builder_free(&m.b);
    buf_free(&m.out);
    return 0;
}
