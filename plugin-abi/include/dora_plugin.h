// The contract between a dora plugin and its host, in C11 (also valid C++11): the one header to include.
//
// A plugin is a shared library (.so, .dll, .dylib) that exports a handshake record, which the host reads from the
// file before any code of the plugin runs, and an entry function, which returns the plugin's node kinds.
// DORA_PLUGIN("name", "1.0.0", &kind, ...) defines both (dora_plugin_record.h). The helpers that make a node short
// are in dora_plugin_helpers.h. A whole plugin: host/testing/fixtures/c/echo.c.
//
//     cc -std=c11 -O2 -fPIC -shared -I include node.c -o libnode.so           Linux
//     x86_64-w64-mingw32-gcc -std=c11 -O2 -shared -I include node.c -o node.dll
//     cl /std:c11 /O2 /LD /I include node.c                                   Windows, MSVC
//
// What holds everywhere:
// - Whoever allocated frees, through the function pointer that came along. A pointer passed as an argument is
//   borrowed for the call unless its comment says otherwise. "Released" and "moved" are Arrow's words: an ArrowArray
//   or ArrowSchema whose `release` is NULL holds nothing any more.
// - Tables that may grow start with their size in bytes; a reader uses only what that size covers. Set `size` to
//   sizeof of the table as you compiled it. Every function pointer of a table is set; none may be NULL.
// - No C++ exception and no longjmp may leave a function of the plugin.
// - "Any thread" means also: at the same time on several threads.
// - The library is never unloaded, and all instances in one process share its static variables. Messages may be
//   released, on any thread, after the instance that sent them is gone.
//
// Absent: behaviour. This is the Rust module plugin_abi::ffi, type for type and field for field; a test of that
// crate compares the two.

#ifndef DORA_PLUGIN_H
#define DORA_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The version of the plugin ABI, and of the message format, that this header speaks.
#define DORA_ABI_MAJOR 0
#define DORA_ABI_MINOR 7
#define DORA_MESSAGE_FORMAT_MAJOR 0
#define DORA_MESSAGE_FORMAT_MINOR 7
#define DORA_MESSAGE_FORMAT_PATCH 0

// What a function of the contract returns: DORA_OK, DORA_DONE or a negative DORA_ERR_... code.
typedef int32_t DoraStatus;

#define DORA_OK 0                    // It worked; from a callback also: go on calling me.
#define DORA_DONE 1                  // Callbacks only: it worked and this node is finished.
#define DORA_ERR_FAILED (-1)         // The callback failed; its text went to report_error before it returned.
#define DORA_ERR_PANICKED (-2)       // The other side panicked; its text went to report_error or to the host's log.
#define DORA_ERR_UNKNOWN_OUTPUT (-3) // There is no output of that index.
#define DORA_ERR_WRONG_TYPE (-4)     // The data is not of the type that the output declares.
#define DORA_ERR_INVALID_DATA (-5)   // The array breaks the Arrow C Data Interface: released, negative length, ...
#define DORA_ERR_CLOSED (-6)         // The node has been told to stop, or is gone: nothing was sent.
#define DORA_ERR_NO_MEMORY (-7)      // The host could not allocate that much.
#define DORA_ERR_UNSUPPORTED (-8)    // The kind does not do that (save or restore its state).

// Bytes that belong to somebody else. As text it is UTF-8 without a terminating zero.
typedef struct DoraStr {
    const uint8_t *ptr; // First byte; may be NULL only when `len` is 0.
    size_t len;         // Length in bytes.
} DoraStr;

// Bytes with the way to free them.
typedef struct DoraBytes {
    const uint8_t *ptr; // First byte; may be NULL only when `len` is 0.
    size_t len;         // Length in bytes.
    void *owner;        // For `release` alone.
    // Frees the bytes and sets itself to NULL. Called once, by whoever got the bytes, on any thread. NULL: there is
    // nothing to free.
    void (*release)(struct DoraBytes *bytes);
} DoraBytes;

#ifdef __cplusplus
}
#endif

// The two structs of the Arrow C Data Interface, under the guard that its specification gives, so that they may
// also come from another header.
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

#ifdef __cplusplus
extern "C" {
#endif

// A type.
struct ArrowSchema {
    const char *format;              // The type's format string ("C" uint8, "L" uint64, "g" double, "u" text, ...).
    const char *name;                // The field's name, or NULL.
    const char *metadata;            // Key-value metadata in Arrow's binary form, or NULL.
    int64_t flags;                   // ARROW_FLAG_... bits.
    int64_t n_children;              // Number of entries in `children`.
    struct ArrowSchema **children;   // The types of the children.
    struct ArrowSchema *dictionary;  // The type of the dictionary's values, else NULL.
    void (*release)(struct ArrowSchema *schema); // Frees it and sets itself to NULL. Any thread.
    void *private_data;              // For `release` alone.
};

// Data.
struct ArrowArray {
    int64_t length;                 // Number of values.
    int64_t null_count;             // Number of null values; -1 when it has not been counted.
    int64_t offset;                 // Values to skip at the start of every buffer.
    int64_t n_buffers;              // Number of entries in `buffers`.
    int64_t n_children;             // Number of entries in `children`.
    const void **buffers;           // The buffers, validity bitmap first (NULL when no value is null).
    struct ArrowArray **children;   // The children.
    struct ArrowArray *dictionary;  // The values of a dictionary-encoded array, else NULL.
    void (*release)(struct ArrowArray *array); // Frees it and sets itself to NULL. Any thread.
    void *private_data;             // For `release` alone.
};

#ifdef __cplusplus
}
#endif

#endif // ARROW_C_DATA_INTERFACE

#ifdef __cplusplus
extern "C" {
#endif

// An interned type: equal types of one process share one, so an equal `id` means an equal type. Owned by the host,
// counted.
typedef struct DoraMsgSchema {
    uint32_t size;             // Size of this table in bytes.
    uint32_t n_nodes;          // Descendants (children and dictionaries) of an array of this type; 0 for a leaf.
    uint64_t id;               // Unique in the process, never reused.
    struct ArrowSchema schema; // The type. Borrowed while a reference is held; never release or move it.
    // Adds one reference. Any thread. The caller holds a reference, or got the schema with a message it holds.
    void (*retain)(const struct DoraMsgSchema *schema);
    // Gives one reference back; the caller uses the pointer no more. Any thread.
    void (*release)(const struct DoraMsgSchema *schema);
} DoraMsgSchema;

struct DoraMsg;

// What can be done with a message.
typedef struct DoraMsgVt {
    size_t size; // Size of this table in bytes.
    // Adds one reference. Any thread. The caller holds a reference, or is in the on_event that was given the message.
    void (*retain)(const struct DoraMsg *msg);
    // Gives one reference back, which was the caller's own; the last one frees the data through whoever made them.
    // Any thread.
    void (*release)(const struct DoraMsg *msg);
    // Fills `out`, whose old content is ignored, with an array that shares the data and holds a reference to the
    // message of its own. It is the caller's: to read, to take children out of, to send; whoever has it last calls
    // its `release`. DORA_OK, or DORA_ERR_NO_MEMORY and `out` untouched. Any thread.
    DoraStatus (*view)(const struct DoraMsg *msg, struct ArrowArray *out);
} DoraMsgVt;

// A message: data and metadata, immutable once sent, counted.
//
// The metadata, all integers little-endian: uint64 time (NTP64: seconds since the Unix epoch in the upper 32 bits,
// their fraction in the lower), 16 bytes clock id, then parameters until the end, each uint8 tag, uint16 length of the
// key, the key, the value. Values by tag: 1 bool as uint8; 2 int64; 3 double; 4 text as uint32 length and UTF-8;
// 5, 6, 7 lists of int64, double, text as uint32 count and the items.
typedef struct DoraMsg {
    uint32_t size;               // Size of this table in bytes.
    uint32_t n_nodes;            // As in its schema: 0 means that the data have no children and no dictionary.
    const DoraMsgVt *vt;         // What can be done with it.
    struct ArrowArray array;     // The data. Borrowed while a reference is held; never release or move it.
    const DoraMsgSchema *schema; // The type of the data; lives as long as the message.
    const uint8_t *meta;         // The metadata; lives as long as the message.
    size_t meta_len;             // Length of `meta` in bytes, at least 24.
} DoraMsg;

// Memory that the host gave for an output's data, to be filled in place.
typedef struct DoraHostBuf {
    uint8_t *ptr; // First byte, 64-aligned; not initialised.
    size_t len;   // Length in bytes.
    void *owner;  // For the host alone; NULL means that the buffer has been sent or freed.
} DoraHostBuf;

// Data to be copied by the host into one message: a leaf array (no children, no dictionary).
typedef struct DoraLeaf {
    int64_t length;         // Number of values.
    int64_t null_count;     // Number of null values, 0 when buffers[0] is absent.
    const DoraStr *buffers; // The Arrow buffers, validity bitmap first; a NULL `ptr` stands for an absent one.
    size_t n_buffers;       // Number of entries in `buffers`: 1 to 3.
} DoraLeaf;

// Levels of a line of the log.
#define DORA_LOG_ERROR 1u
#define DORA_LOG_WARN 2u
#define DORA_LOG_INFO 3u
#define DORA_LOG_DEBUG 4u
#define DORA_LOG_TRACE 5u

// A line of the log.
typedef struct DoraLogRecord {
    uint32_t size;     // Size of this table in bytes.
    uint32_t level;    // DORA_LOG_...
    uint32_t line;     // Line in `file`; 0 when it is not known.
    uint32_t reserved; // Zero.
    DoraStr target;    // The module that speaks.
    DoraStr message;   // The text.
    DoraStr fields;    // A JSON object with the structured fields; empty when there are none.
    DoraStr file;      // Source file; empty when it is not known.
    DoraStr spans;     // Names of the open spans, outermost first, separated by `:`; empty when there are none.
} DoraLogRecord;

#define DORA_REPORT_ERROR 1u // The node returned an error.
#define DORA_REPORT_PANIC 2u // The node panicked: in C, an assertion that it found broken.

// Why a node failed.
typedef struct DoraErrorReport {
    uint32_t size;     // Size of this table in bytes.
    uint32_t kind;     // DORA_REPORT_...
    DoraStr text;      // The error on the first line, then each cause on a line of its own.
    DoraStr file;      // Source file; empty when it is not known.
    uint32_t line;     // Line in `file`; 0 when it is not known.
    uint32_t reserved; // Zero.
} DoraErrorReport;

// What the host knows of one loaded library. Lives until the process ends.
typedef struct DoraLibrary {
    size_t size;           // Size of this table in bytes.
    const uint32_t *level; // Most verbose level wanted (0 to 5) of lines without a node; the host changes it any time.
    // Takes a line that no node is known for; everything in it is borrowed for the call. Any thread, at any time.
    void (*log)(const struct DoraLibrary *library, const DoraLogRecord *record);
    DoraStr folder;        // The folder of the original file, in which its data files lie.
} DoraLibrary;

// What the host offers one instance. It lives while the instance does, and longer while somebody retains it: until
// then every function may be called, from `create` on, and after the instance's end the sending ones return
// DORA_ERR_CLOSED. Every function takes the table itself first. Outputs are numbered as in DoraCreateArgs.outputs.
//
// The sending functions copy `parameters` (in the form that DoraMsg describes, without time and clock; empty for
// none); the schema stays the caller's. They wait while a reader with the policy `backpressure` is full, and return
// DORA_OK, DORA_ERR_UNKNOWN_OUTPUT, DORA_ERR_WRONG_TYPE, DORA_ERR_INVALID_DATA, DORA_ERR_CLOSED or DORA_ERR_NO_MEMORY.
typedef struct DoraHost {
    size_t size;                // Size of this table in bytes.
    void *context;              // For the host alone.
    const DoraLibrary *library; // The library that the instance came from.
    const uint32_t *level;      // Most verbose level wanted (0 to 5) of its lines; the host changes it any time.
    // Keeps the table alive after the instance: once for each thread of the node's own that may outlive it. Any
    // thread, while the instance lives or the caller has retained the table.
    void (*retain)(const struct DoraHost *host);
    // Gives one `retain` back; the caller uses the table no more. Any thread.
    void (*release)(const struct DoraHost *host);
    // Interns a type: moves `schema` in (its `release` is NULL afterwards, also on an error) and stores a reference in
    // `out`, which the caller gives back through its `release`. DORA_OK, or DORA_ERR_INVALID_DATA when it cannot be
    // understood and `out` is untouched. Any thread. Once in `create` for each type, not once for each message.
    DoraStatus (*intern_schema)(const struct DoraHost *host, struct ArrowSchema *schema, const DoraMsgSchema **out);
    // Gives `len` bytes for the data of an output, which are the caller's until send_buf or free_buf takes them back.
    // DORA_OK, or DORA_ERR_UNKNOWN_OUTPUT, DORA_ERR_CLOSED or DORA_ERR_NO_MEMORY and `out` untouched. Any thread.
    DoraStatus (*alloc_output)(const struct DoraHost *host, uint32_t output, size_t len, DoraHostBuf *out);
    // Takes back a buffer that is not going to be sent. Any thread.
    void (*free_buf)(const struct DoraHost *host, DoraHostBuf *buf);
    // Copies a leaf and sends it. The data stay the caller's. Of the Arrow types the leaves that can be copied are
    // numbers, dates, times and the like (fixed width), bool "b", text "u", binary "z". Any thread.
    DoraStatus (*send_copy)(const struct DoraHost *host, uint32_t output, const DoraMsgSchema *schema,
                            const DoraLeaf *leaf, DoraStr parameters);
    // Sends a filled buffer, without copying it, as an array of `length` values without nulls of a fixed-width type
    // (as above, without "b"). Takes the buffer over, also when it fails (`owner` is NULL afterwards). Any thread.
    DoraStatus (*send_buf)(const struct DoraHost *host, uint32_t output, const DoraMsgSchema *schema,
                           DoraHostBuf *buf, int64_t length, DoraStr parameters);
    // Sends an array of any type without copying its data: moves it in (its `release` is NULL afterwards, also when
    // it fails) and calls the release that it had when the last reader is done, on any thread. Until then the data
    // may not change. The values of fixed-width types are aligned to their width, at most to 8 bytes. Any thread.
    DoraStatus (*send_array)(const struct DoraHost *host, uint32_t output, const DoraMsgSchema *schema,
                             struct ArrowArray *array, DoraStr parameters);
    // Takes a line of this instance; everything in it is borrowed for the call. Any thread.
    void (*log)(const struct DoraHost *host, const DoraLogRecord *record);
    // Says why the instance fails; everything in the report is borrowed for the call. From a callback that is about
    // to return an error it gives the text to that error; from a thread of the node's own it ends the instance. Any
    // thread.
    void (*report_error)(const struct DoraHost *host, const DoraErrorReport *report);
    // Ends this instance as if its next callback had returned DORA_DONE. Any thread.
    void (*request_stop)(const struct DoraHost *host);
} DoraHost;

#define DORA_EVENT_INPUT 1u        // A message on `input`.
#define DORA_EVENT_INPUT_CLOSED 2u // Nothing will come on `input` any more.
#define DORA_EVENT_STOP 3u         // The last event; `reason` says why.

#define DORA_STOP_REQUESTED 1u     // The user, or the dataflow's end, asks.
#define DORA_STOP_INPUTS_CLOSED 2u // All inputs are closed.

// One event for on_event. Borrowed for the call.
typedef struct DoraEvent {
    uint32_t size;      // Size of this table in bytes.
    uint32_t kind;      // One of the DORA_EVENT_... numbers; ignore those you do not know and return DORA_OK.
    uint32_t input;     // Index into DoraCreateArgs.inputs, for inputs.
    uint32_t reason;    // One of the DORA_STOP_... numbers, for DORA_EVENT_STOP.
    const DoraMsg *msg; // The message, for DORA_EVENT_INPUT, else NULL. `retain` it to keep it longer than the call.
} DoraEvent;

// What an instance is made from. Borrowed for the call of `create`.
typedef struct DoraCreateArgs {
    uint32_t size;          // Size of this table in bytes.
    uint32_t restart_count; // How often the node has been restarted; 0 the first time.
    const DoraStr *inputs;  // Names of the connected inputs, in the order of their indices.
    size_t n_inputs;        // Number of entries in `inputs`.
    const DoraStr *outputs; // Names of the outputs that may be sent on, in the order of their indices.
    size_t n_outputs;       // Number of entries in `outputs`.
    DoraStr config;         // The node's config: JSON text; `null` when the descriptor gives none.
    DoraStr node_id;        // The node's id in its dataflow.
    DoraStr dataflow_id;    // The dataflow's UUID.
} DoraCreateArgs;

// A declared input or output. Static.
typedef struct DoraPort {
    size_t size;         // Size of this table in bytes.
    DoraStr name;        // Its name; `*` stands for any name that is not declared otherwise.
    DoraStr description; // What it carries, for people.
    DoraStr data_type;   // Arrow's name of the type (`UInt64`, `Utf8`, `List<Float32>`); empty when any will do.
} DoraPort;

// A node kind: what it is called, what it needs, and the functions of its instances. Static.
//
// The host calls the functions of one instance in the order create, restore_state (perhaps), on_event (often, with
// save_state between two events), destroy; one thread at a time, but not always the same. Different instances run
// on several threads at the same time.
typedef struct DoraKind {
    size_t size;                    // Size of this table in bytes.
    DoraStr name;                   // Its name, unique in the plugin.
    DoraStr description;            // What it does, for people.
    const DoraPort *const *inputs;  // The declared inputs.
    size_t n_inputs;                // Number of entries in `inputs`.
    const DoraPort *const *outputs; // The declared outputs.
    size_t n_outputs;               // Number of entries in `outputs`.
    DoraStr config_schema;          // JSON schema of the config; empty when anything will do.
    // Makes an instance and stores it in `instance`; `host` may be kept until `destroy` returns, `args` not. DORA_OK,
    // or an error after which nothing is stored and no other function is called.
    DoraStatus (*create)(const struct DoraKind *kind, const DoraHost *host, const DoraCreateArgs *args,
                         void **instance);
    // Handles an event: DORA_OK, DORA_DONE or an error, after both of which only `destroy` is called.
    DoraStatus (*on_event)(void *instance, const DoraEvent *event);
    // Stores the node's state in `state`, which the host releases on any thread, maybe after `destroy`. Between two
    // events. DORA_OK, or an error and `state` untouched: DORA_ERR_UNSUPPORTED when the kind has none
    // (dora_no_save_state).
    DoraStatus (*save_state)(void *instance, DoraBytes *state);
    // Takes up a state that an instance of this kind has saved, perhaps in an older version of the plugin. Before
    // the first event. DORA_OK, or an error, after which only `destroy` is called; DORA_ERR_UNSUPPORTED when the kind
    // has none (dora_no_restore_state).
    DoraStatus (*restore_state)(void *instance, DoraStr state);
    // Frees the instance, after its own threads have ended or hold what they need. Its last call. DORA_OK or an error.
    DoraStatus (*destroy)(void *instance);
} DoraKind;

// What the entry returns: the plugin's table. Static.
typedef struct DoraPlugin {
    size_t size;                  // Size of this table in bytes.
    uint32_t abi_major;           // DORA_ABI_MAJOR
    uint32_t abi_minor;           // DORA_ABI_MINOR
    const DoraKind *const *kinds; // The node kinds.
    size_t n_kinds;               // Number of entries in `kinds`.
} DoraPlugin;

// The entry: a plugin's one exported function, `dora_plugin_entry`. Called once per process, by one thread, after the
// handshake has passed; `library` may be kept. NULL means that the plugin refuses, and has said why through
// library->log.
typedef const DoraPlugin *(*DoraEntry)(const DoraLibrary *library);

#ifdef __cplusplus
}
#endif

#include "dora_plugin_helpers.h"
#include "dora_plugin_record.h"

#endif // DORA_PLUGIN_H
