/* Reads lines "name<TAB>version<TAB>hex" and says what our decoder makes of the bytes: the bytes
 * that are left over and JSON, or "error" and why. tests/oracle/messages.sh compares it with
 * Kafka's own classes. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "proto/message.h"
#include "table.h"

static void answer(char *line)
{
    struct buf wire = {0};
    struct buf json = {0};
    struct arena a = {0};
    const char *name = strsep(&line, "\t");
    const char *version = strsep(&line, "\t");
    const struct proto_message *m = proto_find(name);
    if (m == NULL || version == NULL || (line && table_hex(&wire, line) != 0)) {
        puts("none");
    } else {
        size_t used = 0;
        int16_t v = (int16_t)strtol(version, NULL, 10);
        void *msg = proto_array(&a, m->root, 1);
        int err = proto_decode(m, v, buf_bytes(&wire), &used, &a, msg);
        if (err) {
            printf("error\t%s\n", err_text(err));
        } else {
            proto_print_json(m, v, msg, &json);
            printf("%zu\t%s\n", wire.len - used, buf_cstr(&json));
        }
    }
    buf_free(&wire);
    buf_free(&json);
    arena_free(&a);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        line[n - (line[n - 1] == '\n')] = 0;
        answer(line);
    }
    free(line);
    return 0;
}
