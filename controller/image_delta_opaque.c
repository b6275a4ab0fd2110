/* Records that the image keeps as they are, by a key of their own: quotas, ACLs, SCRAM credentials,
 * delegation tokens. Later issues read them; snapshots must not lose them. */
#include "controller/image_private.h"
#include "proto_messages.h"

static void put_text_key(struct buf *key, struct bytes text)
{
    buf_put_be32(key, bytes_is_null(text) ? UINT32_MAX : (uint32_t)text.len);
    buf_put(key, text.data, text.len);
}

/* Entities may come in any order: the key has them by type. */
static void put_entity_key(struct buf *key, const struct client_quota_record *r)
{
    struct bytes last = BYTES_NULL;
    for (int32_t round = 0; round < r->entity_n; round++) {
        const struct client_quota_record_entity_data *best = NULL;
        for (int32_t i = 0; i < r->entity_n; i++) {
            const struct client_quota_record_entity_data *e = &r->entity[i];
            if ((last.data == NULL || bytes_cmp(e->entity_type, last) > 0) &&
                (best == NULL || bytes_cmp(e->entity_type, best->entity_type) < 0)) {
                best = e;
            }
        }
        if (best == NULL) { /* a type twice */
            break;
        }
        put_text_key(key, best->entity_type);
        put_text_key(key, best->entity_name);
        last = best->entity_type;
    }
    put_text_key(key, r->key);
}

enum opaque_kind {
    OPAQUE_QUOTA = 14,
    OPAQUE_ACL = 18,
    OPAQUE_SCRAM = 11,
    OPAQUE_TOKEN = 10,
};

static void put_scram_key(struct buf *key, struct bytes name, int8_t mechanism)
{
    buf_put_u8(key, OPAQUE_SCRAM);
    buf_put_u8(key, (uint8_t)mechanism);
    put_text_key(key, name);
}

/* The key that a record puts or removes; empty if the record has no place in the table. */
static bool opaque_key(const struct proto_message *m, const void *record, struct buf *key,
                       bool *remove)
{
    *remove = false;
    if (m == &client_quota_record_msg) {
        const struct client_quota_record *r = record;
        buf_put_u8(key, OPAQUE_QUOTA);
        put_entity_key(key, r);
        *remove = r->remove;
    } else if (m == &access_control_entry_record_msg) {
        const struct access_control_entry_record *r = record;
        buf_put_u8(key, OPAQUE_ACL);
        buf_put(key, r->id.b, sizeof r->id.b);
    } else if (m == &remove_access_control_entry_record_msg) {
        const struct remove_access_control_entry_record *r = record;
        buf_put_u8(key, OPAQUE_ACL);
        buf_put(key, r->id.b, sizeof r->id.b);
        *remove = true;
    } else if (m == &user_scram_credential_record_msg) {
        const struct user_scram_credential_record *r = record;
        put_scram_key(key, r->name, r->mechanism);
    } else if (m == &remove_user_scram_credential_record_msg) {
        const struct remove_user_scram_credential_record *r = record;
        put_scram_key(key, r->name, r->mechanism);
        *remove = true;
    } else if (m == &delegation_token_record_msg) {
        buf_put_u8(key, OPAQUE_TOKEN);
        put_text_key(key, ((const struct delegation_token_record *)record)->token_id);
    } else if (m == &remove_delegation_token_record_msg) {
        buf_put_u8(key, OPAQUE_TOKEN);
        put_text_key(key, ((const struct remove_delegation_token_record *)record)->token_id);
        *remove = true;
    } else {
        return false;
    }
    return true;
}

int image_apply_opaque(struct image_delta *d, const struct proto_message *m, int16_t version,
                       const void *record, struct errmsg *em)
{
    struct buf key = {0};
    struct buf framed = {0};
    bool remove;
    int err = 0;
    if (!opaque_key(m, record, &key, &remove)) {
        goto out; /* NoOp, ZkMigrationState, the marks of a transaction: nothing to keep */
    }
    d->opaque_changed = true;
    if (remove) {
        cowmap_remove(&d->priv->next->opaque, buf_bytes(&key));
        goto out;
    }
    err = proto_encode_metadata_record(m, version, record, &framed, em);
    if (err == 0) {
        struct image_opaque *o = image_opaque_new(buf_bytes(&key), m->key, buf_bytes(&framed));
        cowmap_put(&d->priv->next->opaque, &o->obj);
    }
out:
    buf_free(&key);
    buf_free(&framed);
    return err;
}
