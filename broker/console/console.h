/* The web console: pages that show the cluster, read-only, at /console/ of the monitor's listener.
 *
 * The pages (web/, compiled in by gen/gen_console.py; pages.c) are plain files that ask for JSON
 * below /console/api/ (api.c and api_*.c). What they are told comes from the watch (watch.h): while
 * somebody looks, it reads the metadata image of this node and asks all brokers, once in a while,
 * as any client of Kafka could: sizes, offsets, groups. So a request of a page costs no more than
 * the text of its answer, however many look; and when nobody looks, nothing is asked.
 *
 * A broker that does not answer is told as such, and holds up a round of the watch for a bounded
 * time, but no answer to a page.
 *
 * Messages are shown only with console.messages.enable (api_messages.c): they are read by Fetch.
 *
 * Shard: the monitor's. */
#ifndef BROKER_CONSOLE_CONSOLE_H
#define BROKER_CONSOLE_CONSOLE_H

#include "broker/monitor/monitor.h"

struct console;

struct console *console_new(struct monitor *m); /* memory only */
/* The node stops: connections to brokers close, what is under way comes to its end, and requests
 * are refused. Again does no harm. */
void console_end(struct console *c);
void console_free(struct console *c);

/* /console: to /console/ */
void console_door(struct monitor *m, struct http_request *r);
/* /console/... */
void console_page(struct monitor *m, struct http_request *r);
/* /console/api/... */
void console_api(struct monitor *m, struct http_request *r);

#endif
