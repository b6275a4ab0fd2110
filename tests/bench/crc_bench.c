/* CRC-32C in GB/s over buffers that lie in the L2 cache, in the last level and in memory, each
 * engine. Usage: crc_bench [seconds per cell, default 0.5]. A tool: reads the clock itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/crc32c.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void cell(const char *name, uint32_t (*crc)(uint32_t, const void *, size_t), size_t size,
                 double seconds)
{
    uint8_t *p = malloc(size);
    if (p == NULL) {
        fprintf(stderr, "no memory for %zu bytes\n", size);
        exit(1);
    }
    memset(p, 0x5a, size);
    uint32_t sum = 0;
    size_t done = 0;
    double start = now();
    double end = start;
    while (end - start < seconds) {
        for (size_t n = 0; n < ((size_t)8 << 20); n += size) {
            sum = crc(sum, p, size);
            done += size;
        }
        end = now();
    }
    printf("%-14s %9zu bytes  %6.2f GB/s  (%08x)\n", name, size, (double)done / (end - start) / 1e9,
           (unsigned)sum);
    free(p);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 0.5;
    static const size_t sizes[] = {100, 1000, 16384, 65536, 1 << 20, 16 << 20, 128 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cell(crc32c_engine(), crc32c, sizes[i], seconds);
    }
    cell("table", crc32c_portable, 65536, seconds);
    return 0;
}
