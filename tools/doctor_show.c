/* What the doctor found, as a page for people or as a line for programs. */
#include <stdio.h>

#include "tools/doctor.h"
#include "tools/listing.h"

enum { PLACES_SHOWN = 6 };

static void print_places(const struct doctor_finding *f)
{
    for (int32_t i = 0; i < f->places_n && i < PLACES_SHOWN; i++) {
        printf("%s%.*s", i ? ", " : "   ", BYTES_FMT(f->places[i].topic));
        if (f->places[i].partition >= 0) {
            printf("-%d", f->places[i].partition);
        }
    }
    if (f->places_n > PLACES_SHOWN) {
        printf(" and %d more", f->places_n - PLACES_SHOWN);
    }
    if (f->places_n) {
        printf("\n");
    }
}

static void print_finding(const struct doctor_finding *f, int32_t number)
{
    printf("\n%d. %s\n", number, f->what);
    print_places(f);
    if (f->why) {
        printf("   %s\n", f->why);
    }
    for (int32_t i = 0; i < f->steps_n; i++) {
        printf("   %s\n", f->steps[i].say);
        if (f->steps[i].command) {
            printf("       %s\n", f->steps[i].command);
        }
    }
}

static int32_t count(const struct doctor_report *r, enum doctor_severity severity)
{
    int32_t n = 0;
    for (int32_t i = 0; i < r->n; i++) {
        n += r->v[i].severity == severity;
    }
    return n;
}

/* Of what the controllers tell. */
static void print_short_summary(const struct doctor_picture *pic)
{
    printf("Cluster %.*s, by its controllers", BYTES_FMT(pic->view->cluster_id));
    if (pic->quorum_error == NULL) {
        printf(": %d voter%s, of which %d leads", pic->voters_n, pic->voters_n == 1 ? "" : "s",
               pic->quorum_leader);
    }
    printf(".\n");
}

static void print_summary(const struct doctor_picture *pic)
{
    const struct view *v = pic->view;
    if (pic->controllers) {
        print_short_summary(pic);
        return;
    }
    int32_t partitions = 0;
    for (int32_t i = 0; i < v->topics_n; i++) {
        partitions += v->topics[i].partitions_n;
    }
    printf("Cluster %.*s: %d broker%s, ", BYTES_FMT(v->cluster_id), v->brokers_n,
           v->brokers_n == 1 ? "" : "s");
    if (pic->quorum_error == NULL) {
        printf("%d voter%s, ", pic->voters_n, pic->voters_n == 1 ? "" : "s");
    }
    printf("%d topic%s with %d partition%s", v->topics_n, v->topics_n == 1 ? "" : "s", partitions,
           partitions == 1 ? "" : "s");
    if (v->moves) {
        printf(", of which %d move%s", v->moves, v->moves == 1 ? "s" : "");
    }
    printf(".\n");
}

void doctor_print(const struct doctor_picture *pic, const struct doctor_report *r)
{
    static const char *const headings[] = {[DOCTOR_BROKEN] = "DOES NOT WORK",
                                           [DOCTOR_WRONG] = "WRONG",
                                           [DOCTOR_NOTE] = "COULD BE BETTER"};
    print_summary(pic);
    if (doctor_is_healthy(r)) {
        printf("Nothing is wrong.\n");
    }
    for (int32_t i = 0; i < r->n; i++) {
        if (i == 0 || r->v[i].severity != r->v[i - 1].severity) {
            printf("\n%s (%d)\n", headings[r->v[i].severity], count(r, r->v[i].severity));
        }
        print_finding(&r->v[i], i + 1);
    }
}

static void json_steps(json_t *o, const struct doctor_finding *f)
{
    json_t *list = json_put_array(o, "steps");
    for (int32_t i = 0; i < f->steps_n; i++) {
        json_t *s = json_add_object(list);
        json_put_text(s, "say", bytes_str(f->steps[i].say));
        json_put_text(s, "command", bytes_str(f->steps[i].command));
    }
}

void doctor_print_json(const struct doctor_picture *pic, const struct doctor_report *r)
{
    static const char *const names[] = {
        [DOCTOR_BROKEN] = "broken", [DOCTOR_WRONG] = "wrong", [DOCTOR_NOTE] = "note"};
    json_t *all = listing_new("findings");
    json_put_text(all, "clusterId", pic->view->cluster_id);
    json_put_bool(all, "healthy", doctor_is_healthy(r));
    for (int32_t i = 0; i < r->n; i++) {
        const struct doctor_finding *f = &r->v[i];
        json_t *o = listing_item(all);
        json_put_text(o, "severity", bytes_str(names[f->severity]));
        json_put_text(o, "check", bytes_str(f->check));
        json_put_text(o, "what", bytes_str(f->what));
        json_put_text(o, "why", bytes_str(f->why));
        json_put_ids(o, "nodes", f->nodes.v, f->nodes.n);
        json_t *places = json_put_array(o, "partitions");
        for (int32_t k = 0; k < f->places_n; k++) {
            json_t *p = json_add_object(places);
            json_put_text(p, "topic", f->places[k].topic);
            json_put_known(p, "partition", f->places[k].partition);
        }
        json_steps(o, f);
    }
    listing_print(all);
}
