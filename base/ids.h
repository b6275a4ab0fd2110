/* Lists of node ids. A length below 0 is that of a null list: it has none. */
#ifndef BASE_IDS_H
#define BASE_IDS_H

#include <stdbool.h>
#include <stdint.h>

static inline bool id_in(const int32_t *v, int64_t n, int32_t id)
{
    for (int64_t i = 0; i < n; i++) {
        if (v[i] == id) {
            return true;
        }
    }
    return false;
}

#endif
