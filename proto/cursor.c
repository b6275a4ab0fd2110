#include "proto/cursor.h"

uint32_t cursor_uvarint_slow(struct cursor *c)
{
    uint32_t v = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        const uint8_t *p = cursor_take(c, 1);
        if (p == NULL) {
            return 0;
        }
        v |= (uint32_t)(*p & 0x7f) << shift;
        if (*p < 0x80) {
            return v;
        }
    }
    cursor_fail(c, ERR_CORRUPT);
    return 0;
}
