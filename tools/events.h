/* The verifiable tools say what happens as one JSON object a line, as Kafka's do: "timestamp" and
 * "name" first, then the event's own members in their order. Lines of several threads do not mix:
 * a line goes out in one write. */
#ifndef TOOLS_EVENTS_H
#define TOOLS_EVENTS_H

#include "base/buf.h"

/* Starts an event in b, which is emptied first. */
void event_begin(struct buf *b, const char *name);
void event_text(struct buf *b, const char *key, const void *text, size_t n); /* text NULL: null */
void event_cstr(struct buf *b, const char *key, const char *text);
void event_number(struct buf *b, const char *key, long long v);
void event_real(struct buf *b, const char *key, double v);
void event_flag(struct buf *b, const char *key, bool v);
/* "key":[ ... ] of objects: event_item begins the next one, event_item_end ends it. */
void event_list(struct buf *b, const char *key);
void event_item(struct buf *b);
void event_item_end(struct buf *b);
void event_list_end(struct buf *b);
/* Ends the event and prints it. */
void event_print(struct buf *b);
/* An event that has nothing but its name. */
void event_say(const char *name);

#endif
