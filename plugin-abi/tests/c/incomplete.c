// A node kind whose author forgot that every function must be there.

#include "dora_plugin.h"

static DoraStatus create(const DoraKind *unused, const DoraHost *host, const DoraCreateArgs *args, void **instance) {
    (void)unused;
    (void)host;
    (void)args;
    (void)instance;
    return DORA_ERR_FAILED;
}

static DoraStatus on_event(void *instance, const DoraEvent *event) {
    (void)instance;
    (void)event;
    return DORA_OK;
}

static const DoraKind kind = {
    .size = sizeof(DoraKind),
    .name = DORA_STR("forgetful"),
    .create = create,
    .on_event = on_event,
};

DORA_PLUGIN("incomplete", "1.0.0", &kind);
