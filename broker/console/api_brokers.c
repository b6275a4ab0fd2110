/* Brokers: those of the metadata, with what they said of themselves. */
#include "base/ids.h"
#include "base/mem.h"
#include "broker/console/console_private.h"
#include "controller/image.h"

struct shares { /* of one broker */
    int32_t id;
    int64_t leaders, replicas, behind, preferred;
};

static struct shares *find(struct shares *v, int32_t n, int32_t id)
{
    for (int32_t i = 0; i < n; i++) {
        if (v[i].id == id) {
            return &v[i];
        }
    }
    return NULL;
}

static void share(struct shares *v, int32_t n, const struct image_partition *p)
{
    for (uint32_t i = 0; i < p->replicas_n; i++) {
        struct shares *s = find(v, n, p->replicas[i]);
        if (s) {
            s->replicas++;
            s->leaders += p->leader == s->id;
            s->preferred += i == 0;
            s->behind += !id_in(p->isr, p->isr_n, s->id) && !id_in(p->adding, p->adding_n, s->id);
        }
    }
}

static struct shares *shares_of(const struct image *img)
{
    struct shares *v = mem_zalloc(((size_t)img->brokers_n + 1) * sizeof *v);
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    for (int32_t i = 0; i < img->brokers_n; i++) {
        v[i].id = img->brokers[i]->id;
    }
    while ((t = image_next_topic(img, &it)) != NULL) {
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            if (t->partitions[i]) {
                share(v, img->brokers_n, t->partitions[i]);
            }
        }
    }
    return v;
}

static const char *state_of(const struct image_broker *b, const struct peer *p)
{
    if (b->fenced) {
        return "fenced";
    }
    if (b->in_controlled_shutdown) {
        return "leaving";
    }
    return p && p->heard && !p->answers ? "not answering" : "up";
}

static void put_dirs(struct json_writer *w, const struct peer *p)
{
    json_open(w, "logDirs", '[');
    for (unsigned i = 0; p && i < p->dirs_n; i++) {
        const struct peer_dir *d = &p->dirs[i];
        json_open(w, NULL, '{');
        json_str(w, "path", d->path);
        json_bool(w, "failed", d->error != 0);
        json_int(w, "replicas", d->replicas);
        json_int(w, "bytes", d->bytes);
        json_known(w, "total", d->total);
        json_known(w, "usable", d->usable);
        json_close(w, '}');
    }
    json_close(w, ']');
}

static void put_broker(const struct console *c, struct json_writer *w, const struct image_broker *b,
                       const struct shares *s)
{
    const struct peer *p = peer_find((struct console *)(uintptr_t)c, b->id);
    json_open(w, NULL, '{');
    json_int(w, "id", b->id);
    json_str(w, "state", state_of(b, p));
    json_bool(w, "self", b->id == monitor_node(c->monitor)->id);
    json_bool(w, "controller", image_controller(c->watch.image, b->id) != NULL);
    json_text(w, "rack", b->rack);
    json_open(w, "listeners", '[');
    for (uint32_t i = 0; i < b->endpoints_n; i++) {
        json_open(w, NULL, '{');
        json_text(w, "name", b->endpoints[i].name);
        json_text(w, "host", b->endpoints[i].host);
        json_int(w, "port", b->endpoints[i].port);
        json_close(w, '}');
    }
    json_close(w, ']');
    json_int(w, "leaders", s->leaders);
    json_int(w, "preferred", s->preferred);
    json_int(w, "replicas", s->replicas);
    json_int(w, "outOfSync", s->behind);
    if (p && p->heard && !b->fenced && !p->answers) {
        json_str(w, "why", p->why);
        json_int(w, "silentMs", console_now(c) - p->since_ms);
    }
    put_dirs(w, p);
    json_bool(w, "logDirsOld", p && (b->fenced || !p->answers)); /* as it said last */
    json_close(w, '}');
}

void api_brokers(struct console *c, struct http_request *r)
{
    const struct image *img = c->watch.image;
    struct api_page page = api_page(r);
    struct shares *s = shares_of(img);
    struct buf text = {0};
    struct json_writer w = {.out = &text};
    json_open(&w, NULL, '{');
    api_put_page(&w, page, (size_t)img->brokers_n);
    json_open(&w, "brokers", '[');
    int64_t from = (int64_t)page.page * page.per;
    for (int64_t i = from; i < img->brokers_n && i < from + page.per; i++) {
        put_broker(c, &w, img->brokers[i], &s[i]);
    }
    json_close(&w, ']');
    json_close(&w, '}');
    mem_free(s);
    api_reply(r, &text);
}
