/* The console's own files: compiled in (gen/gen_console.py), each as it is and packed. A browser
 * keeps them and asks whether they have changed (ETag); they may load nothing from anywhere else,
 * and run no script that stands in a page (Content-Security-Policy). */
#include <string.h>

#include "broker/console/assets.h"
#include "broker/console/console_private.h"

#define POLICY                                                                  \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static const struct console_asset *find(const char *path)
{
    const char *name = path + strlen("/console/");
    for (size_t i = 0; i < console_assets_n; i++) {
        if (strcmp(console_assets[i].name, *name ? name : "index.html") == 0) {
            return &console_assets[i];
        }
    }
    return NULL;
}

static bool takes_gzip(const struct http_request *r)
{
    const char *accept = http_header(r, "Accept-Encoding");
    return accept && strstr(accept, "gzip");
}

void console_page(struct monitor *m, struct http_request *r)
{
    UNUSED(m);
    const struct console_asset *a = find(r->path);
    if (a == NULL) {
        struct buf text = {0};
        buf_put_str(&text, "The console has no such file.\n");
        monitor_reply_text(r, 404, &text);
        return;
    }
    const char *seen = http_header(r, "If-None-Match");
    bool same = seen && strstr(seen, a->etag);
    bool packed = !same && takes_gzip(r);
    const struct http_field fields[] = {
        {"ETag", a->etag},
        {"Vary", "Accept-Encoding"},
        {"Content-Security-Policy", POLICY},
        {"Referrer-Policy", "no-referrer"},
        {"X-Frame-Options", "DENY"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Content-Encoding", "gzip"}, /* the last: only if it is */
    };
    struct http_answer answer = {
        .status = same ? 304 : 200,
        .type = a->type,
        .cache = "no-cache",
        .fields = fields,
        .fields_n = ARRAY_LEN(fields) - (packed ? 0 : 1),
        .still_body = same     ? bytes_str("")
                      : packed ? a->packed
                               : a->plain,
    };
    http_answer(r, &answer);
}

void console_door(struct monitor *m, struct http_request *r)
{
    UNUSED(m);
    static const struct http_field fields[] = {{"Location", "console/"}};
    struct http_answer a = {.status = 307,
                            .type = "text/plain; charset=utf-8",
                            .fields = fields,
                            .fields_n = ARRAY_LEN(fields),
                            .still_body = bytes_str("The console is at console/.\n")};
    http_answer(r, &a);
}
