/* What a decoder does with a message that was tampered with. Every vector is cut at every byte, and
 * at every byte a length is made to lie. The decoder must end in a clean error or in a message that
 * can be written and read again; it must not look behind the end (bytes behind a cut are poisoned
 * under AddressSanitizer), and the memory that it takes is bounded by the bytes that came, times a
 * factor that follows from the schema. */
#include "base/assert.h"
#include "base/mem.h"
#include "check.h"
#include "proto/descriptor.h"
#include "vector.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

struct hostile {
    struct check *c;
    struct vector v;
    size_t factor; /* most bytes of memory for a byte of input */
    struct arena a;
    struct buf again;
    struct buf third;
};

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Most bytes of memory that one byte of input can cost while a struct is read. An array whose count
 * lies costs at most what an honest one of the bytes that are left would cost; arrays inside arrays
 * add up, fields side by side do not. */
static size_t factor_of(const struct proto_struct *s, int16_t version)
{
    size_t most = sizeof(struct proto_tag) * 2; /* an unknown tag: two bytes; the list doubles */
    for (size_t i = 0; i < s->fields_n; i++) {
        const struct proto_field *f = &s->fields[i];
        if (!proto_versions_have(f->versions, version)) {
            continue;
        }
        if (f->type == PT_ARRAY && f->elem == PT_STRUCT) {
            size_t wire = max_size(f->sub->wire_min[version], 1);
            size_t per_byte = (f->sub->size + wire - 1) / wire;
            most = max_size(most, per_byte + factor_of(f->sub, version));
        } else if (f->type == PT_ARRAY) {
            most = max_size(most, sizeof(struct bytes));
        } else if (f->type == PT_STRUCT) {
            most = max_size(most, factor_of(f->sub, version));
        } else if (f->type == PT_STRUCT_PTR) {
            most = max_size(most, f->sub->size + factor_of(f->sub, version));
        }
    }
    return most;
}

static bool try_decode(struct hostile *h, struct bytes in, struct vector *found, void **out,
                       int *err)
{
    arena_reset(&h->a);
    *err = vector_decode(&h->v, in, &h->a, found, out);
    size_t root = found->m ? found->m->root->size : 0;
    size_t factor = h->factor;
    if (found->m && (found->m != h->v.m || found->version != h->v.version)) {
        bool known = found->version >= 0 && found->version <= found->m->version_max;
        factor = known ? factor_of(found->m->root, found->version) : 0;
    }
    if (h->a.used > root + factor * in.len) {
        check_fail(h->c, "%zu bytes of input took %zu bytes of memory", in.len, h->a.used);
        return false;
    }
    return true;
}

static bool check_cuts(struct hostile *h, uint8_t *data, size_t len)
{
    bool ok = true;
    for (size_t cut = len; ok && cut-- > 0;) {
        struct vector found;
        void *out;
        int err;
        POISON(data + cut, len - cut);
        ok = try_decode(h, bytes_of(data, cut), &found, &out, &err);
        if (ok && err != ERR_TRUNCATED) {
            check_fail(h->c, "cut at byte %zu of %zu: %s", cut, len, err ? err_text(err) : "taken");
            ok = false;
        }
    }
    UNPOISON(data, len);
    return ok;
}

/* What was taken can be written (unless its unknown tags are out of order, which Kafka refuses to
 * write, too), and what was written reads back to the same bytes. */
static bool check_rewrite(struct hostile *h, const struct vector *found, const void *msg)
{
    struct errmsg em = {{0}};
    buf_clear(&h->again);
    buf_clear(&h->third);
    int err = vector_encode(found, msg, &h->again, &em);
    if (err == ERR_INVALID) {
        return true;
    }
    struct vector again;
    void *out = NULL;
    bool ok = err == 0 && try_decode(h, buf_bytes(&h->again), &again, &out, &err) && err == 0 &&
              vector_encode(&again, out, &h->third, &em) == 0 &&
              bytes_eq(buf_bytes(&h->again), buf_bytes(&h->third));
    if (!ok) {
        check_fail(h->c, "tampered with, it does not read back what it writes: %s", em.text);
    }
    return ok;
}

static bool check_lies(struct hostile *h, const uint8_t *wire, size_t len)
{
    static const struct {
        uint8_t n;
        uint8_t b[5];
    } lies[] = {
        {1, {0x00}},
        {1, {0xff}},
        {4, {0x7f, 0xff, 0xff, 0xff}},
        {4, {0x00, 0xff, 0xff, 0xff}},
        {4, {0x80, 0x00, 0x00, 0x00}},
        {5, {0x80, 0x80, 0x80, 0x80, 0x08}},
        {5, {0xff, 0xff, 0xff, 0xff, 0xff}},
    };
    struct buf copy = {0};
    buf_put(&copy, wire, len);
    bool ok = true;
    for (size_t i = 0; ok && i < len * ARRAY_LEN(lies); i++) {
        size_t at = i / ARRAY_LEN(lies);
        size_t lie = i % ARRAY_LEN(lies);
        size_t n = lies[lie].n < len - at ? lies[lie].n : len - at;
        memcpy(copy.data + at, lies[lie].b, n);
        struct vector found;
        void *out;
        int err;
        ok = try_decode(h, buf_bytes(&copy), &found, &out, &err) &&
             (err != 0 || check_rewrite(h, &found, out));
        memcpy(copy.data + at, wire + at, n);
    }
    buf_free(&copy);
    return ok;
}

bool check_hostile_row(struct check *c)
{
    struct hostile h = {.c = c};
    struct buf wire = {0};
    bool ok = false;
    if (vector_of(&h.v, c->row) != 0 || table_hex(&wire, c->row->col[3]) != 0) {
        check_fail(c, "no such message, or not hex");
    } else {
        h.factor = factor_of(h.v.m->root, h.v.version);
        uint8_t *exact = mem_alloc(wire.len);
        memcpy(exact, buf_bytes(&wire).data, wire.len);
        ok = check_cuts(&h, exact, wire.len) && check_lies(&h, exact, wire.len);
        mem_free(exact);
    }
    arena_free(&h.a);
    buf_free(&h.again);
    buf_free(&h.third);
    buf_free(&wire);
    return ok;
}
