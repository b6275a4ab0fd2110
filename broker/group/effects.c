/* Collecting what a step wants done: writes, answers, lines. All of it lives in the effects' arena
 * until the host has carried it out. */
#include <stdarg.h>
#include <stdio.h>

#include "broker/group/group_private.h"

void group_effects_init(struct group_effects *fx)
{
    *fx = (struct group_effects){0};
    list_init(&fx->writes);
    list_init(&fx->replies);
    list_init(&fx->lines);
}

enum {
    LINES_MAX = 16,       /* of a kind: more than the log takes in a second (base/logger.h) */
    ARENA_KEPT = 1 << 20, /* one that was larger gives its memory back */
};

void group_effects_reset(struct group_effects *fx)
{
    memset(fx->lines_n, 0, sizeof fx->lines_n);
    list_init(&fx->writes);
    list_init(&fx->replies);
    list_init(&fx->lines);
    if (fx->arena.used > ARENA_KEPT) {
        arena_free(&fx->arena);
    } else {
        arena_reset(&fx->arena);
    }
}

uint32_t group_effects_left_out(const struct group_effects *fx, enum group_line_kind kind)
{
    uint32_t n = fx->lines_n[kind];
    return kind != GROUP_LINE_OWN && n > LINES_MAX ? n - LINES_MAX : 0;
}

void group_effects_free(struct group_effects *fx)
{
    arena_free(&fx->arena);
}

struct group_write *group_fx_write(struct group_effects *fx, struct group_op *op, uint32_t n)
{
    ASSERT(op->group != NULL && op->written != NULL && n > 0);
    list_push_back(&op->group->pending, &op->node);
    struct group_write *w = ARENA_NEW(&fx->arena, struct group_write);
    w->op = op;
    w->records = ARENA_ARRAY(&fx->arena, struct group_record, n);
    w->n = n;
    list_push_back(&fx->writes, &w->node);
    return w;
}

void group_fx_reply(struct group_effects *fx, struct group_ask *ask)
{
    list_push_back(&fx->replies, &ask->node);
}

void group_fx_line(struct group_effects *fx, enum group_line_kind kind, const char *fmt, ...)
{
    char text[768];
    va_list ap;
    if (fx->lines_n[kind]++ >= LINES_MAX && kind != GROUP_LINE_OWN) {
        return; /* one request may make a million */
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct group_line *l = ARENA_NEW(&fx->arena, struct group_line);
    l->kind = kind;
    l->text = arena_strndup(&fx->arena, text, strlen(text));
    list_push_back(&fx->lines, &l->node);
}
