// A node kind that reads each message and sends it back with the helpers of the header; what it cannot read, it
// answers with the status of the last attempt.

#include "dora_plugin.h"

#include <stdlib.h>

typedef struct Back {
    const DoraHost *host;
    const DoraMsgSchema *bytes;
    const DoraMsgSchema *u64;
    const DoraMsgSchema *text;
} Back;

static DoraStatus back_destroy(void *instance) {
    Back *back = (Back *)instance;
    const DoraMsgSchema *types[] = { back->bytes, back->u64, back->text };
    for (size_t i = 0; i < DORA_COUNT(types); i++) {
        types[i]->release(types[i]);
    }
    back->host->release(back->host);
    free(back);
    return DORA_OK;
}

static DoraStatus back_create(const DoraKind *kind, const DoraHost *host, const DoraCreateArgs *args,
                              void **instance) {
    (void)kind;
    (void)args;
    Back *back = (Back *)malloc(sizeof *back);
    if (back == NULL) {
        return DORA_ERR_NO_MEMORY;
    }
    host->retain(host);
    back->host = host;
    if (dora_leaf_schema(host, "C", &back->bytes) != DORA_OK || dora_leaf_schema(host, "L", &back->u64) != DORA_OK ||
        dora_leaf_schema(host, "u", &back->text) != DORA_OK) {
        return DORA_ERR_FAILED;
    }
    const DoraMsgSchema *none = NULL;
    if (dora_leaf_schema(host, "no format", &none) != DORA_ERR_INVALID_DATA || none != NULL) {
        return DORA_ERR_FAILED;
    }
    *instance = back;
    return DORA_OK;
}

// Bytes go back through memory of the host's, filled in place.
static DoraStatus send_in_place(const Back *back, DoraStr bytes) {
    DoraHostBuf buf;
    DoraStatus status = back->host->alloc_output(back->host, 0, bytes.len, &buf);
    if (status != DORA_OK) {
        return status;
    }
    back->host->free_buf(back->host, &buf);
    if (buf.owner != NULL) {
        return DORA_ERR_FAILED;
    }
    status = back->host->alloc_output(back->host, 0, bytes.len, &buf);
    if (status != DORA_OK) {
        return status;
    }
    if (bytes.len > 0) {
        memcpy(buf.ptr, bytes.ptr, bytes.len);
    }
    status = back->host->send_buf(back->host, 0, back->bytes, &buf, (int64_t)bytes.len, dora_bytes(NULL, 0));
    return buf.owner == NULL ? status : DORA_ERR_FAILED;
}

static DoraStatus back_on_event(void *instance, const DoraEvent *event) {
    const Back *back = (const Back *)instance;
    const DoraMsg *msg = event->msg;
    DoraStr text;
    uint64_t number;
    if (event->kind != DORA_EVENT_INPUT) {
        return DORA_OK;
    }
    dora_log(back->host, DORA_LOG_INFO, "%llu", (unsigned long long)dora_msg_unix_nanos(msg));
    if (dora_msg_is(msg, "L")) {
        DoraStatus status = dora_msg_u64(msg, &number);
        return status == DORA_OK ? dora_send_u64(back->host, 0, back->u64, number) : status;
    }
    if (dora_msg_is(msg, "u")) {
        DoraStatus status = dora_msg_text(msg, &text);
        return status == DORA_OK ? dora_send_text(back->host, 0, back->text, text) : status;
    }
    DoraStatus status = dora_msg_bytes(msg, &text);
    if (status != DORA_OK) {
        return status;
    }
    status = dora_send_bytes(back->host, 1, back->bytes, text.ptr, text.len);
    return status == DORA_OK ? send_in_place(back, text) : status;
}

static const DoraKind kind = {
    .size = sizeof(DoraKind),
    .name = DORA_STR("back"),
    .description = DORA_STR(""),
    .config_schema = DORA_STR(""),
    .create = back_create,
    .on_event = back_on_event,
    .save_state = dora_no_save_state,
    .restore_state = dora_no_restore_state,
    .destroy = back_destroy,
};

static DoraStatus long_create(const DoraKind *unused, const DoraHost *host, const DoraCreateArgs *args,
                              void **instance) {
    (void)unused;
    (void)instance;
    return dora_fail(host, "%.*s", (int)args->config.len, (const char *)args->config.ptr);
}

static const DoraKind long_kind = {
    .size = sizeof(DoraKind),
    .name = DORA_STR("long"),
    .description = DORA_STR(""),
    .config_schema = DORA_STR(""),
    .create = long_create,
    .on_event = back_on_event,
    .save_state = dora_no_save_state,
    .restore_state = dora_no_restore_state,
    .destroy = back_destroy,
};

DORA_PLUGIN("helpers", "1.0.0", &kind, &long_kind);
