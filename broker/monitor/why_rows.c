/* What a shard leaves for /why: rows, bounded by kind, and what is told once for all shards. */
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "broker/monitor/why.h"
#include "controller/image.h"

struct why_answer *why_answer_new(const struct gather_part *p)
{
    const struct why_ask *ask = p->gather->user;
    struct why_answer *a = MEM_NEW(struct why_answer);
    a->least_ms = ask->least_ms;
    for (unsigned k = 0; k < WHY_KINDS; k++) {
        list_init(&a->rows[k]);
    }
    list_init(&a->followers);
    list_init(&a->leaders);
    return a;
}

void why_free(void *answer)
{
    struct why_answer *a = answer;
    if (a) {
        image_put(a->image);
        arena_free(&a->arena);
        mem_free(a);
    }
}

/* Before the first that lasts less. */
static struct list *place(struct list *rows, int64_t ms)
{
    list_for_each (at, rows) {
        if (LIST_ENTRY(at, struct why_row, node)->ms < ms) {
            return at;
        }
    }
    return rows;
}

struct why_row *why_add(struct why_answer *a, enum why_kind kind, int64_t ms)
{
    struct list *rows = &a->rows[kind];
    if (ms >= 0 && ms < a->least_ms) {
        return NULL;
    }
    if (a->kept[kind] == WHY_ROWS_MAX) {
        struct list *last = rows->prev;
        a->left_out[kind]++;
        if (LIST_ENTRY(last, struct why_row, node)->ms >= ms) {
            return NULL;
        }
        list_remove(last);
        a->kept[kind]--;
    }
    struct why_row *row = ARENA_NEW(&a->arena, struct why_row);
    row->kind = kind;
    row->ms = ms;
    row->text = "";
    list_insert_before(place(rows, ms), &row->node);
    a->kept[kind]++;
    return row;
}

void why_say(struct why_answer *a, struct why_row *row, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    row->text = why_clean(&a->arena, bytes_str(line));
}

void why_number(struct why_row *row, const char *name, int64_t number)
{
    ASSERT(row->fields_n < WHY_FIELDS_MAX);
    row->fields[row->fields_n++] = (struct why_field){.name = name, .number = number};
}

const char *why_clean(struct arena *a, struct bytes text)
{
    char *out = arena_strndup(a, text.data ? text.data : (const uint8_t *)"", text.len);
    for (size_t i = 0; i < text.len; i++) {
        out[i] = (char)(out[i] < ' ' || out[i] > '~' ? '?' : out[i]);
    }
    return out;
}

const char *why_text(struct why_answer *a, struct why_row *row, const char *name, struct bytes text)
{
    ASSERT(row->fields_n < WHY_FIELDS_MAX);
    const char *clean = why_clean(&a->arena, text);
    row->fields[row->fields_n++] = (struct why_field){.name = name, .text = clean};
    return clean;
}
