// What makes a node in C short: texts, sending and reading of the plain types, logging and failing. Included by
// dora_plugin.h.
//
// Invariant: only conveniences. Each helper is written with the contract alone, so none is needed and any may be
// replaced. Absent: state, locks and allocation; a helper may be called on any thread from which the function of the
// contract behind it may be called.

#ifndef DORA_PLUGIN_HELPERS_H
#define DORA_PLUGIN_HELPERS_H

#include "dora_plugin.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) && defined(_WIN32) && !defined(__clang__)
#define DORA_PRINTF(text, first) __attribute__((__format__(__gnu_printf__, text, first)))
#elif defined(__GNUC__)
#define DORA_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define DORA_PRINTF(text, first)
#endif

// Longest text of dora_log and dora_fail in bytes; what is longer is cut.
#define DORA_TEXT_MAX 1024

// A literal as a text, where C asks for a constant: in the static tables of a plugin.
#define DORA_STR(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

// Number of elements of an array (not of a pointer).
#define DORA_COUNT(array) (sizeof(array) / sizeof((array)[0]))

// No port has this index: the descriptor does not list it, so nothing comes in on it and nobody wants what goes out.
#define DORA_NO_PORT UINT32_MAX

// Bytes that somebody else keeps alive.
static inline DoraStr dora_bytes(const void *ptr, size_t len) {
    DoraStr out;
    out.ptr = (const uint8_t *)ptr;
    out.len = len;
    return out;
}

// A zero-terminated text that somebody else keeps alive.
static inline DoraStr dora_str(const char *text) {
    return dora_bytes(text, strlen(text));
}

// Whether a text equals a zero-terminated one.
static inline bool dora_str_equal(DoraStr text, const char *other) {
    return text.len == strlen(other) && (text.len == 0 || memcmp(text.ptr, other, text.len) == 0);
}

// The index of a name in DoraCreateArgs.inputs or .outputs, or DORA_NO_PORT.
static inline uint32_t dora_port(const DoraStr *names, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (dora_str_equal(names[i], name)) {
            return (uint32_t)i;
        }
    }
    return DORA_NO_PORT;
}

// What a status means, for messages to people.
static inline const char *dora_status_text(DoraStatus status) {
    switch (status) {
    case DORA_OK: return "ok";
    case DORA_DONE: return "done";
    case DORA_ERR_FAILED: return "failed";
    case DORA_ERR_PANICKED: return "the host panicked";
    case DORA_ERR_UNKNOWN_OUTPUT: return "no such output";
    case DORA_ERR_WRONG_TYPE: return "wrong type of data";
    case DORA_ERR_INVALID_DATA: return "invalid Arrow data";
    case DORA_ERR_CLOSED: return "the node has been told to stop";
    case DORA_ERR_NO_MEMORY: return "no memory";
    case DORA_ERR_UNSUPPORTED: return "not supported";
    default: return "unknown status";
    }
}

// For DoraKind.save_state of a kind without state.
static inline DoraStatus dora_no_save_state(void *instance, DoraBytes *state) {
    (void)instance;
    (void)state;
    return DORA_ERR_UNSUPPORTED;
}

// For DoraKind.restore_state of a kind without state.
static inline DoraStatus dora_no_restore_state(void *instance, DoraStr state) {
    (void)instance;
    (void)state;
    return DORA_ERR_UNSUPPORTED;
}

// ---- Logging and failing -------------------------------------------------------------------------------------

// Logs a line of the instance: dora_log(host, DORA_LOG_INFO, "%d values", n). The text costs nothing when the level
// is not wanted.
#define dora_log(host, level, ...) dora_log_at(host, level, __FILE__, __LINE__, __VA_ARGS__)

// Reports why the instance fails, and is what the callback returns: return dora_fail(host, "no such file: %s", path);
#define dora_fail(host, ...) dora_fail_at(host, __FILE__, __LINE__, __VA_ARGS__)

// The text as vsnprintf gives it; a longer one is cut between two characters.
DORA_PRINTF(3, 0)
static inline DoraStr dora_format(char *buffer, size_t size, const char *format, va_list list) {
    int length = vsnprintf(buffer, size, format, list);
    if (length < 0) {
        return dora_str("(text could not be formatted)");
    }
    size_t end = (size_t)length;
    if (end >= size) {
        end = size - 1;
        size_t lead = end; // Where the last character starts, if it starts at all.
        do {
            lead--;
        } while (lead > 0 && ((unsigned char)buffer[lead] & 0xC0) == 0x80);
        unsigned char first = (unsigned char)buffer[lead];
        size_t length_of_last = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        if (lead + length_of_last > end) {
            end = lead;
        }
    }
    return dora_bytes(buffer, end);
}

// dora_log with a place of the caller's choice.
DORA_PRINTF(5, 6)
static inline void dora_log_at(const DoraHost *host, uint32_t level, const char *file, uint32_t line,
                               const char *format, ...) {
    // The host may write it meanwhile: a plain load that is done once, whole on every machine that dora runs on.
    if (level > *(const volatile uint32_t *)host->level) {
        return;
    }
    char buffer[DORA_TEXT_MAX];
    DoraLogRecord record;
    va_list list;
    memset(&record, 0, sizeof record);
    va_start(list, format);
    record.message = dora_format(buffer, sizeof buffer, format, list);
    va_end(list);
    record.size = (uint32_t)sizeof record;
    record.level = level;
    record.line = line;
    record.file = dora_str(file);
    host->log(host, &record);
}

// dora_fail with a place of the caller's choice.
DORA_PRINTF(4, 5)
static inline DoraStatus dora_fail_at(const DoraHost *host, const char *file, uint32_t line, const char *format, ...) {
    char buffer[DORA_TEXT_MAX];
    DoraErrorReport report;
    va_list list;
    memset(&report, 0, sizeof report);
    va_start(list, format);
    report.text = dora_format(buffer, sizeof buffer, format, list);
    va_end(list);
    report.size = (uint32_t)sizeof report;
    report.kind = DORA_REPORT_ERROR;
    report.line = line;
    report.file = dora_str(file);
    host->report_error(host, &report);
    return DORA_ERR_FAILED;
}

// ---- Sending -------------------------------------------------------------------------------------------------
// On DORA_NO_PORT these send nothing and return DORA_OK.

static inline void dora_release_static_schema(struct ArrowSchema *schema) {
    schema->release = NULL;
}

// Interns the type of a leaf: dora_leaf_schema(host, "C", &bytes), with Arrow's format string as a literal. Give the
// reference back in `destroy`: bytes->release(bytes).
static inline DoraStatus dora_leaf_schema(const DoraHost *host, const char *format, const DoraMsgSchema **out) {
    struct ArrowSchema schema;
    memset(&schema, 0, sizeof schema);
    schema.format = format;
    schema.name = "";
    schema.flags = ARROW_FLAG_NULLABLE;
    schema.release = dora_release_static_schema;
    return host->intern_schema(host, &schema, out);
}

// Copies and sends `count` values of `width` bytes each, none of them null; `schema` is a fixed-width type of that
// width. Returns what DoraHost.send_copy does.
static inline DoraStatus dora_send_values(const DoraHost *host, uint32_t output, const DoraMsgSchema *schema,
                                          const void *values, size_t count, size_t width) {
    if (output == DORA_NO_PORT) {
        return DORA_OK;
    }
    if (width == 0 || count > (size_t)PTRDIFF_MAX / width) {
        return DORA_ERR_INVALID_DATA;
    }
    DoraStr buffers[2];
    buffers[0] = dora_bytes(NULL, 0);
    buffers[1] = dora_bytes(values, count * width);
    DoraLeaf leaf;
    leaf.length = (int64_t)count;
    leaf.null_count = 0;
    leaf.buffers = buffers;
    leaf.n_buffers = 2;
    return host->send_copy(host, output, schema, &leaf, dora_bytes(NULL, 0));
}

// Copies and sends bytes; `schema` is "C".
static inline DoraStatus dora_send_bytes(const DoraHost *host, uint32_t output, const DoraMsgSchema *schema,
                                         const void *bytes, size_t len) {
    return dora_send_values(host, output, schema, bytes, len, 1);
}

// Sends one number; `schema` is "L".
static inline DoraStatus dora_send_u64(const DoraHost *host, uint32_t output, const DoraMsgSchema *schema,
                                       uint64_t value) {
    return dora_send_values(host, output, schema, &value, 1, sizeof value);
}

// Copies and sends one text, at most 2 GiB long; `schema` is "u".
static inline DoraStatus dora_send_text(const DoraHost *host, uint32_t output, const DoraMsgSchema *schema,
                                        DoraStr text) {
    if (output == DORA_NO_PORT) {
        return DORA_OK;
    }
    if (text.len > INT32_MAX) {
        return DORA_ERR_INVALID_DATA;
    }
    int32_t offsets[2];
    offsets[0] = 0;
    offsets[1] = (int32_t)text.len;
    DoraStr buffers[3];
    buffers[0] = dora_bytes(NULL, 0);
    buffers[1] = dora_bytes(offsets, sizeof offsets);
    buffers[2] = text;
    DoraLeaf leaf;
    leaf.length = 1;
    leaf.null_count = 0;
    leaf.buffers = buffers;
    leaf.n_buffers = 3;
    return host->send_copy(host, output, schema, &leaf, dora_bytes(NULL, 0));
}

// ---- Reading -------------------------------------------------------------------------------------------------

// Whether a message is a leaf of a format, such as "C".
static inline bool dora_msg_is(const DoraMsg *msg, const char *format) {
    return msg->n_nodes == 0 && strcmp(msg->schema->schema.format, format) == 0;
}

// Whether a value of a leaf may be null.
static inline bool dora_msg_has_nulls(const DoraMsg *msg) {
    const struct ArrowArray *array = &msg->array;
    const uint8_t *valid = array->n_buffers > 0 ? (const uint8_t *)array->buffers[0] : NULL;
    if (array->null_count >= 0 || valid == NULL) {
        return array->null_count > 0;
    }
    for (int64_t i = array->offset; i < array->offset + array->length; i++) {
        if (((valid[i / 8] >> (i % 8)) & 1) == 0) {
            return true;
        }
    }
    return false;
}

// The values of a message of a fixed-width type: a pointer to the first, and their number (not bytes) as `len`,
// borrowed while the message is. DORA_ERR_WRONG_TYPE: another type. DORA_ERR_INVALID_DATA: null values, or values
// that are missing or not aligned to their width.
static inline DoraStatus dora_msg_values(const DoraMsg *msg, const char *format, size_t width, DoraStr *out) {
    const struct ArrowArray *array = &msg->array;
    if (!dora_msg_is(msg, format)) {
        return DORA_ERR_WRONG_TYPE;
    }
    if (array->n_buffers != 2 || dora_msg_has_nulls(msg)) {
        return DORA_ERR_INVALID_DATA;
    }
    const uint8_t *first = (const uint8_t *)array->buffers[1];
    if (array->length > 0 && (first == NULL || (uintptr_t)first % width != 0)) {
        return DORA_ERR_INVALID_DATA;
    }
    *out = dora_bytes(array->length > 0 ? first + (size_t)array->offset * width : NULL, (size_t)array->length);
    return DORA_OK;
}

// The bytes of a message ("C"), borrowed while the message is. Errors as dora_msg_values.
static inline DoraStatus dora_msg_bytes(const DoraMsg *msg, DoraStr *out) {
    return dora_msg_values(msg, "C", 1, out);
}

// The one number of a message ("L"). Errors as dora_msg_values, and DORA_ERR_INVALID_DATA: not one number.
static inline DoraStatus dora_msg_u64(const DoraMsg *msg, uint64_t *out) {
    DoraStr values;
    DoraStatus status = dora_msg_values(msg, "L", sizeof *out, &values);
    if (status != DORA_OK) {
        return status;
    }
    if (values.len != 1) {
        return DORA_ERR_INVALID_DATA;
    }
    memcpy(out, values.ptr, sizeof *out);
    return DORA_OK;
}

// The one text of a message ("u"), borrowed while the message is; not checked to be UTF-8. DORA_ERR_WRONG_TYPE:
// another type. DORA_ERR_INVALID_DATA: null, not one text, or buffers that are missing or contradict each other.
static inline DoraStatus dora_msg_text(const DoraMsg *msg, DoraStr *out) {
    const struct ArrowArray *array = &msg->array;
    if (!dora_msg_is(msg, "u")) {
        return DORA_ERR_WRONG_TYPE;
    }
    if (array->n_buffers != 3 || array->length != 1 || array->buffers[1] == NULL || dora_msg_has_nulls(msg)) {
        return DORA_ERR_INVALID_DATA;
    }
    int32_t ends[2];
    memcpy(ends, (const uint8_t *)array->buffers[1] + (size_t)array->offset * sizeof ends[0], sizeof ends);
    if (ends[0] < 0 || ends[1] < ends[0] || (ends[1] > ends[0] && array->buffers[2] == NULL)) {
        return DORA_ERR_INVALID_DATA;
    }
    size_t length = (size_t)(ends[1] - ends[0]);
    *out = dora_bytes(length > 0 ? (const uint8_t *)array->buffers[2] + ends[0] : NULL, length);
    return DORA_OK;
}

// The parameters of a message as they are encoded, borrowed while the message is: to pass on, or to read as DoraMsg
// says.
static inline DoraStr dora_msg_parameters(const DoraMsg *msg) {
    return msg->meta_len > 24 ? dora_bytes(msg->meta + 24, msg->meta_len - 24) : dora_bytes(NULL, 0);
}

// When a message was sent, as NTP64: seconds since the Unix epoch in the upper 32 bits, their fraction in the lower.
static inline uint64_t dora_msg_time(const DoraMsg *msg) {
    uint64_t time = 0;
    for (size_t i = 8; i-- > 0 && msg->meta_len >= 24;) {
        time = time << 8 | msg->meta[i];
    }
    return time;
}

// When a message was sent, in nanoseconds since the Unix epoch.
static inline uint64_t dora_msg_unix_nanos(const DoraMsg *msg) {
    uint64_t time = dora_msg_time(msg);
    return (time >> 32) * 1000000000u + (((time & 0xFFFFFFFFu) * 1000000000u) >> 32);
}

#ifdef __cplusplus
}
#endif

#endif // DORA_PLUGIN_HELPERS_H
