/* millrace decode: Kafka frames as JSON, one object a line. Takes a frame as hex, a file of frames
 * as they stood on the wire, or a capture of tcpdump.
 *
 * A frame may have its length in front. A response cannot be read without knowing what it answers:
 * --response says it, and in a capture the request with its correlation id does. What cannot be
 * read is an object with "error"; the exit status is then 1. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "proto/decode.h"
#include "proto_apis.h"
#include "tools/pcap.h"
#include "tools/text.h"
#include "tools/tool.h"

enum { DEFAULT_PORT = 9092, FRAME_MAX = 1 << 30 };

static const char help[] =
    "millrace decode: Kafka frames as JSON, one object a line\n"
    "\n"
    "Examples:\n"
    "  millrace decode 00120003000000010003666f6f00...     a request, as hex\n"
    "  millrace decode --response ApiVersions:3 0000...    a response, and what it answers\n"
    "  millrace decode --message TopicRecord:0 02...       a message without any frame\n"
    "  xxd -p request.bin | millrace decode                a request, from standard input\n"
    "  tcpdump -i lo -w c.pcap port 9092                   then\n"
    "  millrace decode --capture c.pcap                    everything that clients and broker "
    "said\n"
    "  millrace decode --capture sent.bin --answers got.bin\n"
    "                                                      frames as they stood on a connection\n"
    "\n"
    "Options:\n"
    "  HEX                   bytes in hex; spaces, line ends, colons and 0x do not matter. A "
    "length in\n"
    "                        front is recognised. Standard input when left out\n"
    "  --response API:V      the frame is a response to this request: name or key of the API, "
    "version\n"
    "  --message NAME:V      the bytes are this message: ProduceRequest:9, PartitionRecord:2 ...\n"
    "  --capture FILE        a capture in the pcap format, or requests with their lengths; - is\n"
    "                        standard input\n"
    "  --answers FILE        with a --capture of requests: the responses with their lengths\n"
    "  --port N              port of the server in a pcap whose connections began earlier (9092)\n"
    "  --records             records as batches, opened, instead of base64\n"
    "  --help                this text\n";

struct options {
    const char *hex;
    const char *response;
    const char *message;
    const char *capture;
    const char *answers;
    uint16_t port;
    bool batches;
};

/* A sentence on stderr; the exit status of a wrong command line. */
static int complain(const char *text, const char *what)
{
    fprintf(stderr, "millrace decode: %s%s%s (see --help)\n", text, what ? ": " : "",
            what ? what : "");
    return 2;
}

static void put_error(struct buf *out, const struct errmsg *em, struct bytes frame)
{
    buf_put_str(out, "{\"error\":");
    json_put_string(out, bytes_str(em->text));
    buf_printf(out, ",\"bytes\":%zu,\"hex\":\"", frame.len);
    for (size_t i = 0; i < frame.len && i < 64; i++) {
        buf_printf(out, "%02x", frame.data[i]);
    }
    buf_put_str(out, frame.len > 64 ? "...\"}" : "\"}");
}

static void print_line(struct buf *out)
{
    fwrite(out->data, 1, out->len, stdout);
    putchar('\n');
    buf_clear(out);
}

/* ---- One frame as hex ---- */

static int parse_hex(struct bytes text, struct buf *out, struct errmsg *em)
{
    int high = -1;
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.data[i];
        int v = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        bool prefix = high == 0 && (c == 'x' || c == 'X'); /* 0x */
        if (prefix) {
            high = -1;
        } else if (v >= 0 && high >= 0) {
            buf_put_u8(out, (uint8_t)(high << 4 | v));
            high = -1;
        } else if (v >= 0) {
            high = v;
        } else if (c == 0 || strchr(" \t\r\n:", c) == NULL) {
            return errmsg_set(em, ERR_INVALID, "character %zu of the hex text is '%c'", i + 1, c);
        }
    }
    if (high >= 0) {
        return errmsg_set(em, ERR_INVALID, "the hex text has an odd number of digits");
    }
    return 0;
}

/* "Produce:9" or "0:9"; for messages any name. */
static const char *split_version(const char *text, char name[128], int16_t *version)
{
    const char *colon = strrchr(text, ':');
    char *end;
    long v = colon ? strtol(colon + 1, &end, 10) : -1;
    if (colon == NULL || end == colon + 1 || *end != 0 || v < 0 || v > INT16_MAX ||
        colon - text >= 128) {
        return NULL;
    }
    memcpy(name, text, (size_t)(colon - text));
    name[colon - text] = 0;
    *version = (int16_t)v;
    return name;
}

static int find_api(const char *name)
{
    size_t n;
    const struct proto_api *apis = proto_apis(&n);
    for (size_t i = 0; i < n; i++) {
        char key[8];
        snprintf(key, sizeof key, "%d", apis[i].key);
        if (strcmp(name, apis[i].name) == 0 || strcmp(name, key) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* Takes the length off if there is one: it must be that of the rest, exactly. */
static struct bytes without_length(struct bytes in)
{
    if (in.len > 4 && load_be32(in.data) == in.len - 4) {
        return bytes_of(in.data + 4, in.len - 4);
    }
    return in;
}

static int print_hex(const struct options *o, struct bytes in)
{
    char name[128];
    int16_t version = 0;
    struct errmsg em;
    struct buf out = {0};
    struct proto_trace t = {.batches = o->batches};
    int err;
    if (o->message) {
        const char *found = split_version(o->message, name, &version);
        const struct proto_message *m = found ? proto_find(found) : NULL;
        if (m == NULL) {
            return complain("--message wants NAME:VERSION, as ProduceRequest:9", o->message);
        }
        err = proto_describe_message(m, version, in, o->batches, &out, &em);
    } else if (o->response) {
        const char *found = split_version(o->response, name, &version);
        int key = found ? find_api(found) : -1;
        if (key < 0) {
            return complain("--response wants API:VERSION, as Produce:9", o->response);
        }
        in = without_length(in);
        err = proto_describe_response(in, (int16_t)key, version, o->batches, &out, &em);
    } else {
        in = without_length(in);
        err = proto_trace_request(&t, in, &out, &em);
    }
    if (err) {
        put_error(&out, &em, in);
    }
    print_line(&out);
    buf_free(&out);
    proto_trace_free(&t);
    return err ? 1 : 0;
}

static int decode_hex(const struct options *o)
{
    struct buf text = {0};
    struct buf in = {0};
    struct errmsg em;
    int rv = 2;
    if (o->hex) {
        buf_put_str(&text, o->hex);
    } else if (tool_read_file("-", &text, &em) != 0) {
        fprintf(stderr, "millrace decode: %s\n", em.text);
        goto out;
    }
    if (parse_hex(buf_bytes(&text), &in, &em) != 0) {
        fprintf(stderr, "millrace decode: %s\n", em.text);
    } else if (in.len == 0) {
        rv = complain("no frame given", NULL);
    } else {
        rv = print_hex(o, buf_bytes(&in));
    }
out:
    buf_free(&text);
    buf_free(&in);
    return rv;
}

/* ---- Frames of a connection ---- */

/* Both directions of one connection, as far as they have come. */
struct conversation {
    struct proto_trace trace;
    struct buf half[2]; /* bytes that are not a whole frame yet; [1] from the client */
    bool lost[2];       /* frames cannot be told apart any more */
    int failed;
};

static void put_place(struct buf *out, const struct pcap_stream *s, bool from_client,
                      int64_t time_us)
{
    char text[40];
    time_t sec = (time_t)(time_us / 1000000);
    struct tm tm;
    gmtime_r(&sec, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(out, ",\"time\":\"%s.%06dZ\",\"from\":\"%s\",\"to\":\"%s\"}", text,
               (int)(time_us % 1000000), from_client ? s->client : s->server,
               from_client ? s->server : s->client);
}

/* Prints one frame; s is NULL when the connection is a pair of files. */
static void print_frame(struct conversation *c, const struct pcap_stream *s, bool from_client,
                        int64_t time_us, struct bytes frame)
{
    struct errmsg em;
    struct buf out = {0};
    int err = from_client ? proto_trace_request(&c->trace, frame, &out, &em)
                          : proto_trace_response(&c->trace, frame, &out, &em);
    if (err) {
        put_error(&out, &em, frame);
        c->failed = 1;
    }
    if (s) {
        out.len--;
        put_place(&out, s, from_client, time_us);
    }
    print_line(&out);
    buf_free(&out);
}

static void print_lost(struct conversation *c, const struct pcap_stream *s, bool from_client,
                       int64_t time_us, const char *why, struct bytes rest)
{
    struct errmsg em;
    struct buf out = {0};
    errmsg_set(&em, ERR_CORRUPT, "%s", why);
    put_error(&out, &em, rest);
    if (s) {
        out.len--;
        put_place(&out, s, from_client, time_us);
    }
    print_line(&out);
    buf_free(&out);
    c->lost[from_client] = true;
    c->failed = 1;
}

/* Prints the whole frames at the front of *rest and moves it behind them. */
static void print_frames(struct conversation *c, const struct pcap_stream *s, bool from_client,
                         int64_t time_us, struct bytes *rest)
{
    while (!c->lost[from_client] && rest->len >= 4) {
        uint32_t len = load_be32(rest->data);
        if (len == 0 || len > FRAME_MAX) {
            print_lost(c, s, from_client, time_us, "the length of the next frame makes no sense",
                       *rest);
            return;
        }
        if (len > rest->len - 4) {
            return;
        }
        print_frame(c, s, from_client, time_us, bytes_of(rest->data + 4, len));
        *rest = bytes_of(rest->data + 4 + len, rest->len - 4 - len);
    }
}

static void conversation_free(struct conversation *c)
{
    proto_trace_free(&c->trace);
    buf_free(&c->half[0]);
    buf_free(&c->half[1]);
}

/* ---- Captures ---- */

struct capture {
    const struct options *o;
    int failed;
};

static struct conversation *conversation_of(struct capture *cap, struct pcap_stream *s)
{
    if (s->user == NULL) {
        struct conversation *c = MEM_NEW(struct conversation);
        c->trace.batches = cap->o->batches;
        s->user = c;
    }
    return s->user;
}

static void on_bytes(void *ctx, struct pcap_stream *s, bool from_client, int64_t time_us,
                     struct bytes data)
{
    struct conversation *c = conversation_of(ctx, s);
    struct buf *half = &c->half[from_client];
    buf_put(half, data.data, data.len);
    struct bytes rest = buf_bytes(half);
    print_frames(c, s, from_client, time_us, &rest);
    memmove(half->data, rest.data, rest.len);
    half->len = c->lost[from_client] ? 0 : rest.len;
}

static void on_gap(void *ctx, struct pcap_stream *s, bool from_client, int64_t time_us)
{
    struct conversation *c = conversation_of(ctx, s);
    print_lost(c, s, from_client, time_us, "the capture lacks bytes of this direction",
               buf_bytes(&c->half[from_client]));
    buf_clear(&c->half[from_client]);
}

static void on_end(void *ctx, struct pcap_stream *s)
{
    struct capture *cap = ctx;
    struct conversation *c = s->user;
    if (c == NULL) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        if (c->half[i].len) {
            print_lost(c, s, i == 1, 0, "the capture ends inside a frame", buf_bytes(&c->half[i]));
        }
    }
    cap->failed |= c->failed;
    conversation_free(c);
    mem_free(c);
}

static int decode_pcap(const struct options *o, struct bytes file)
{
    struct capture cap = {.o = o};
    struct pcap_events ev = {on_bytes, on_gap, on_end, &cap};
    struct pcap_counts counts = {0};
    struct errmsg em;
    if (pcap_read(file, o->port, &ev, &counts, &em) != 0) {
        fprintf(stderr, "millrace decode: %s: %s\n", o->capture, em.text);
        return 2;
    }
    if (counts.truncated) {
        fprintf(stderr, "millrace decode: %s ends inside a packet\n", o->capture);
    }
    if (counts.tcp == 0) {
        fprintf(stderr, "millrace decode: %s has %zu packets, but none of TCP with data\n",
                o->capture, counts.packets);
        return 1;
    }
    return cap.failed || counts.truncated;
}

static int decode_files(const struct options *o, struct bytes requests, struct bytes answers)
{
    struct conversation c = {.trace.batches = o->batches};
    for (int i = 1; i >= 0; i--) {
        struct bytes rest = i ? requests : answers;
        print_frames(&c, NULL, i, 0, &rest);
        if (rest.len && !c.lost[i]) {
            print_lost(&c, NULL, i, 0, "the file ends inside a frame", rest);
        }
    }
    int failed = c.failed;
    conversation_free(&c);
    return failed;
}

static int decode_capture(const struct options *o)
{
    struct buf file = {0};
    struct buf answers = {0};
    struct errmsg em;
    int rv = 2;
    if (tool_read_file(o->capture, &file, &em) != 0 ||
        (o->answers && tool_read_file(o->answers, &answers, &em) != 0)) {
        fprintf(stderr, "millrace decode: %s\n", em.text);
    } else if (pcap_is(buf_bytes(&file))) {
        rv = o->answers ? complain("a pcap has its answers in it: --answers is too much", NULL)
                        : decode_pcap(o, buf_bytes(&file));
    } else {
        rv = decode_files(o, buf_bytes(&file), buf_bytes(&answers));
    }
    buf_free(&file);
    buf_free(&answers);
    return rv;
}

/* ---- The command line ---- */

static const char **option_slot(struct options *o, const char *name)
{
    if (strcmp(name, "--response") == 0) {
        return &o->response;
    }
    if (strcmp(name, "--message") == 0) {
        return &o->message;
    }
    if (strcmp(name, "--capture") == 0) {
        return &o->capture;
    }
    return strcmp(name, "--answers") == 0 ? &o->answers : NULL;
}

static int parse_port(struct options *o, const char *text)
{
    char *end;
    long v = strtol(text, &end, 10);
    if (end == text || *end != 0 || v < 1 || v > 65535) {
        return complain("--port wants a number from 1 to 65535", text);
    }
    o->port = (uint16_t)v;
    return 0;
}

int tool_decode(int argc, char **argv)
{
    struct options o = {.port = DEFAULT_PORT};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            fputs(help, stdout);
            return 0;
        }
        const char **slot = option_slot(&o, arg);
        bool port = strcmp(arg, "--port") == 0;
        if ((slot || port) && i + 1 == argc) {
            return complain("a value is missing behind", arg);
        }
        if (slot) {
            *slot = argv[++i];
        } else if (port) {
            if (parse_port(&o, argv[++i]) != 0) {
                return 2;
            }
        } else if (strcmp(arg, "--records") == 0) {
            o.batches = true;
        } else if (strncmp(arg, "--", 2) == 0) {
            return complain("unknown option", arg);
        } else if (o.hex) {
            return complain("one frame at a time; this is too much", arg);
        } else if (strcmp(arg, "-") != 0) {
            o.hex = arg;
        }
    }
    int ways = (o.capture != NULL) + (o.response != NULL) + (o.message != NULL);
    if (ways > 1 || (o.capture && o.hex)) {
        return complain("--capture, --response and --message exclude each other", NULL);
    }
    if (o.answers && o.capture == NULL) {
        return complain("--answers needs --capture", NULL);
    }
    return o.capture ? decode_capture(&o) : decode_hex(&o);
}
